"""What the base model says and holds of its answers: one forward pass per answer."""

from raycalib.lm.names import ModelSource
from raycalib.records import FEATURES
from raycalib.stages.combo import Unit
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.workers.queries import FeatureWorker
from raycalib.steps.run import Run
from raycalib.steps.units import Outputs, run_units, units_of

VERSION = 1
"""Goes up where other numbers come out of the same answers."""


def features(run: Run, model: ModelSource, answered: Outputs) -> Outputs:
    """The answers of each unit with the query's logits and the last hidden state after the answer.

    Raises:
        ModelError: the model cannot be loaded.
    """
    works = {unit: (feature_stage(run, model, unit), output) for unit, output in units_of(run, model, answered).items()}
    return run_units(run, model, works)


def feature_stage(run: Run, model: ModelSource, unit: Unit) -> ShardStage:
    """What makes a unit's features."""
    return ShardStage(
        name="features",
        variant=model.slug,
        part=str(unit),
        worker=FeatureWorker,
        config=run.worker_config(model, run.query_tokens),
        identity=run.identity(model) | {"version": VERSION, "max_tokens": run.query_tokens} | run.header_identity(unit),
        schema=FEATURES,
        needs_model=True,
        cut_column="n_query_cut",
        gpus=run.config.ray.gpus_per_transformer,
        bounds=run.failed_alone,
    )
