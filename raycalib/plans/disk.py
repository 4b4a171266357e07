"""Room on disks: a run's directory, and the weights that each node keeps."""

from dataclasses import dataclass

from raycalib.config import PipelineConfig
from raycalib.plans.rows import PlannedRows
from raycalib.tuning.checkpoint import KEPT
from raycalib.tuning.memory_plan import PlannedRun, memory_plan

FLOAT32 = 4
BYTES_OF_A_TOKEN = 4
"""Assumed: of a text, before it is compressed."""
TEXTS_OF_A_ROW = 4
"""Question, answer, labelled and scored rows each hold the texts; compression makes up for what is not counted."""
OF_A_CHECKPOINT = 3
"""An adapter's numbers, and AdamW's two moments of each."""


@dataclass(frozen=True, kw_only=True)
class DiskPlan:
    """Bytes of one model and style, but weights of one model.

    Attributes:
        rows: texts of all stages.
        features: hidden states after the answers.
        states: of the base model, which tuning is compared with.
        adapter: one that is tuned, and its checkpoints.
        weights: in the cache of each node that works on the model.
    """

    rows: int
    features: int
    states: int
    adapter: int
    weights: int


def disk_plan(config: PipelineConfig, run: PlannedRun, rows: PlannedRows) -> DiskPlan:
    """What a model and style leave on disks.

    Raises:
        ModelError: an adapter on modules that are not of the model's layers.
    """
    n_rows = rows.learned + rows.n_evaluated
    tokens = rows.learned * run.tokens_per_row + rows.n_evaluated * config.planning.eval_tokens_per_row
    return DiskPlan(
        rows=TEXTS_OF_A_ROW * BYTES_OF_A_TOKEN * tokens,
        features=FLOAT32 * n_rows * run.shape.hidden_size,
        states=memory_plan(run).disk,
        adapter=FLOAT32 * run.n_adapter * (1 + KEPT * OF_A_CHECKPOINT),
        weights=run.shape.n_parameters * run.itemsize,
    )
