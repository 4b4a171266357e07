"""A run: its configuration, its place, its cluster, and what all steps share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
import time
from typing import Any, TypeVar

from raycalib.config import PipelineConfig
from raycalib.errors import IncompleteError
from raycalib.lm.logits import LOGITS_VERSION
from raycalib.lm.names import DtypeName, ModelSource
from raycalib.prompts import QUERY_VERSION
from raycalib.sources import LEARNED_FROM, QuestionSet
from raycalib.sources.parts import NO_HEADER, QueryHeader, header_identity
from raycalib.sources.question_sets import TRAINING_SPLITS
from raycalib.stages.chains.side_by_side import side_by_side
from raycalib.stages.cluster import Cluster
from raycalib.stages.combo import Combo, Unit
from raycalib.stages.export_rows import export_rows
from raycalib.stages.labels.label import Labelling
from raycalib.stages.output import StageOutput
from raycalib.stages.pools.bounds import Bounds
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.steps.failures import Failures
from raycalib.storage import Location

T = TypeVar("T")
LEARNED_PARTS = ("train", "val")
EXPORTED = ("answers", "labelled", "predictions")
"""Stages whose rows people look at."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What every step of a run is told.

    Attributes:
        config: what is done.
        out: where.
        cluster: on what.
        combos: models with their styles, without those that are skipped.
        methods: what gives answers a confidence, beside what is given.
        training: the set that is learned from.
        evaluated: the sets that are evaluated on.
        labelling: right or wrong.
        dtype: of weights; resolved, so that shards of a CPU run and of a GPU run never share a directory.
        query_header: whether a query shows the few-shot examples that its row was answered with, by part.
        query_tokens: one length for all that read a query, so that a text is scored as it was tuned on.
        failures: what failed, while the others went on.
        made: outputs of the steps so far.
        left_out: combos of which there are no rows, where rows are given.
    """

    config: PipelineConfig
    out: Location
    cluster: Cluster
    combos: tuple[Combo, ...]
    methods: tuple[str, ...]
    training: QuestionSet
    evaluated: tuple[QuestionSet, ...]
    labelling: Labelling
    dtype: DtypeName
    query_tokens: int
    query_header: QueryHeader
    failures: Failures
    made: list[StageOutput] = field(default_factory=list)
    left_out: set[Combo] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.started

    @property
    def alive(self) -> list[Combo]:
        """Those of which something goes on."""
        return [combo for combo in self.combos if combo not in self.left_out and not self.failures.has_lost(combo)]

    @property
    def models(self) -> list[ModelSource]:
        """Those of which something goes on, each once."""
        return list(dict.fromkeys(combo.model for combo in self.alive))

    def combos_of(self, model: ModelSource) -> list[Combo]:
        """A model's combos of which something goes on."""
        return [combo for combo in self.alive if combo.model == model]

    @property
    def failed_alone(self) -> Bounds:
        """How many rows may fail; the unscored are bounded where they are labelled, and are no news later."""
        return Bounds(max_failed=self.config.max_failed, max_unscored=1.0)

    def keep(self, output: StageOutput) -> StageOutput:
        """Notes what a step made, and writes its rows as one file where the configuration asks for that."""
        self.made.append(output)
        if self.config.export != "none" and output.manifest.stage in EXPORTED:
            export_rows(output, self.config.export)
        return output

    def for_each_model(self, do: Callable[[ModelSource], T]) -> dict[str, T]:
        """What is done for each model, by its name, side by side; a model that fails does not stop the others.

        Raises:
            RaycalibError: no combo is left.
        """
        models = self.models
        self.cluster.chains = len(models)
        done, errors = side_by_side(
            {model.name: partial(do, model) for model in models}, self.config.at_once or len(models)
        )
        for model in models:
            if model.name in errors:
                for combo in self.combos_of(model):
                    self.failures.add(combo, errors[model.name])
        self.failures.stop_if_none(self.alive)
        return done

    def end(self) -> None:
        """Raises IncompleteError where something failed while the others went on."""
        if not self.failures.all:
            return
        titles = [failure.title for failure in self.failures.all]
        shown = ", ".join(titles[:4]) + (f" and {len(titles) - 4} more" if len(titles) > 4 else "")
        first = self.failures.all[0]
        raise IncompleteError(
            f"incomplete: {shown} failed ({first.reason}); the same command tries again, --skip "
            f"{first.model}/{first.style} leaves a combo out"
        )

    def identity(self, model: ModelSource) -> dict[str, Any]:
        """What tells one model's numbers from another's."""
        return {
            "model": model.name,
            "weights": weights_of(model),
            "dtype": self.dtype,
            "query": QUERY_VERSION,
            "logits": LOGITS_VERSION,
        }

    def worker_config(self, model: ModelSource, max_tokens: int | None) -> ModelWorkerConfig:
        """What a worker of the model is built from."""
        config = self.config
        return ModelWorkerConfig(
            source=model,
            dtype=self.dtype,
            use_gpu=config.ray.on_gpu,
            max_batch_tokens=config.max_batch_tokens,
            max_new_tokens=config.max_new_tokens,
            max_tokens=max_tokens,
            query_header=self.query_header,
            engine=config.engine,
            gpus=config.ray.gpus_per_worker,
        )

    def header_identity(self, unit: Unit) -> dict[str, Any]:
        """What the queries about a unit's answers hang on beside them; nothing where they show no few-shot examples."""
        header = self.query_header
        if unit.set in LEARNED_FROM:
            return header_identity(header, TRAINING_SPLITS)
        by_part = {part: value for part, value in header.by_part if part not in LEARNED_PARTS}
        shown = {"": header.default} | by_part
        return {} if set(shown.values()) == {NO_HEADER} else {"query_header": shown}


@cache
def weights_of(model: ModelSource) -> str:
    """The fingerprint of a model's weights, which are hashed once."""
    return model.fingerprint()
