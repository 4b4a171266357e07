"""What tuned models say of the answers that are calibrated and evaluated on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from raycalib.evaluation.methods import LORA_PROMPT
from raycalib.lm.names import ModelSource
from raycalib.records import SCORED
from raycalib.sources import LEARNED_FROM
from raycalib.sources.facts.splits import VAL_CALIBRATE
from raycalib.stages.combo import Combo, Unit
from raycalib.stages.output import StageOutput
from raycalib.stages.pools.shard_stage import try_shard_stages
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.select import select_splits
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.stages.workers.queries import TunedQueryWorker
from raycalib.steps.run import Run
from raycalib.steps.units import Outputs
from raycalib.tuning.probe_files import PROBE_TENSORS

VERSION = 1
"""Goes up where other numbers come out of the same answers and adapter."""


class Scorer(NamedTuple):
    """An adapter that scores answers, under a name that is a method's.

    Attributes:
        method: its name.
        style: of the answers that it scores.
        identity: what it is, whatever it is called.
        task: how the worker that has loaded it calls it.
    """

    method: str
    style: str
    identity: Any
    task: str


Scored = dict[tuple[str, Unit], StageOutput]
"""By method and unit; the rows of ``val_calibrate`` under the training set's name."""


def scored(run: Run, model: ModelSource, labelled: Outputs, jobs: Sequence[TuneJob]) -> Scored:
    """The answers of each evaluation set, and those of ``val_calibrate``, with the logits of what was tuned.

    All adapters of the model share one loading of its weights.

    Raises:
        ModelError: the model cannot be loaded.
    """
    mine = [job for job in jobs if job.model == model]
    if not mine:
        return {}
    scorers = [Scorer(job.settings.method, job.style, job.key, f"{job.settings.method} {job.style}") for job in mine]
    names = [scorer.task for scorer in scorers]
    config = replace(
        run.worker_config(model, run.query_tokens),
        adapters=tuple((name, job.adapter) for name, job in zip(names, mine, strict=True)),
        heads=tuple(
            (n, job.head, PROBE_TENSORS)
            for n, job in zip(names, mine, strict=True)
            if job.settings.method != LORA_PROMPT
        ),
    )
    return score(run, model, labelled, scorers, config)


def score(
    run: Run, model: ModelSource, labelled: Outputs, scorers: Sequence[Scorer], config: ModelWorkerConfig
) -> Scored:
    """What each adapter of a worker says of the answers in its style."""
    works: dict[tuple[str, Unit], tuple[ShardStage, StageOutput]] = {}
    for scorer in scorers:
        for unit, output in labelled.items():
            if unit.style == scorer.style:
                source = select_splits(output, [VAL_CALIBRATE]) if unit.set in LEARNED_FROM else output
                works[scorer.method, unit] = (_stage(run, model, scorer, unit, config), source)
    found = Scored()
    outcomes = try_shard_stages(list(works.values()), run.out, run.cluster)
    for (method, unit), outcome in zip(works, outcomes, strict=True):
        if isinstance(outcome, StageOutput):
            found[method, unit] = run.keep(outcome)
        else:
            combo = Combo(model=model, style=unit.style)  # without what is calibrated on it only lacks a temperature
            run.failures.add(combo, outcome, question_set=unit.set, method=method)
    return found


def _stage(run: Run, model: ModelSource, scorer: Scorer, unit: Unit, config: ModelWorkerConfig) -> ShardStage:
    return ShardStage(
        name="scored",
        variant=model.slug,
        part=f"{unit} {scorer.method}",
        task=scorer.task,
        worker=TunedQueryWorker,
        config=config,
        identity=run.identity(model)
        | run.header_identity(unit)
        | {"version": VERSION, "max_tokens": run.query_tokens, "style": unit.style, "adapter": scorer.identity},
        schema=SCORED,
        needs_model=True,
        cut_column="n_query_cut",
        gpus=run.config.ray.gpus_per_transformer,
        bounds=run.failed_alone,
    )


def of_unit(all_scored: Mapping[tuple[str, Unit], StageOutput], unit: Unit) -> dict[str, StageOutput]:
    """By method, what was scored of a unit."""
    return {method: output for (method, each), output in all_scored.items() if each == unit}
