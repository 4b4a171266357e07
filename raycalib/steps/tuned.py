"""Adapters of all combos: LoRA + Prompt, and LoRA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raycalib.errors import DataError
from raycalib.evaluation.methods import TUNED
from raycalib.stages.combo import Combo, Unit
from raycalib.stages.labels.label_check import combo_check, why_not_tuned
from raycalib.stages.output import StageError, finished
from raycalib.stages.tuned.tune_job import TuneJob, tune_job
from raycalib.stages.tuned.tuning_run import run_tuning
from raycalib.steps.run import Run, weights_of
from raycalib.steps.training_rows import train_rows_within
from raycalib.steps.units import Outputs
from raycalib.tuning.settings import TuningMethod, TuningSettings


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A model's rows that are known before anything is tuned.

    Attributes:
        labelled: of each unit.
        features: likewise.
    """

    labelled: Outputs
    features: Outputs


def tuned(run: Run, learned: Mapping[str, Learned], methods: Sequence[TuningMethod] | None = None) -> list[TuneJob]:
    """The combos that are tuned, by each of the methods; one that cannot be is a hole, and the others go on.

    Args:
        run: the run.
        learned: by model.
        methods: those of the configuration, unless given.

    Raises:
        DataError: nothing is evaluated beside, and no combo can be tuned.
    """
    wanted = [method for method in TUNED if method in run.config.methods] if methods is None else methods
    of_combos = {
        combo: [
            job_of(run, combo, learned[combo.model.name], replace(run.config.tuning, method=method), run.config.seed)
            for method in wanted
        ]
        for combo in run.alive
        if has_training_set(run, combo, learned[combo.model.name], wanted)
    }
    jobs = [
        job for method in wanted for of_combo in of_combos.values() for job in of_combo if job.settings.method == method
    ]
    stopped = dict[str, str]()
    for combo, of_combo in of_combos.items():
        reasons = not_tuned(run, combo, learned, of_combo)
        for job in of_combo:
            if job.key in reasons:
                run.failures.add(combo, DataError(reasons[job.key]), method=job.settings.method)
        stopped |= reasons
    result = run_tuning([job for job in jobs if job.key not in stopped], run.out, run.cluster)
    for combo, of_combo in of_combos.items():
        for job in of_combo:
            if job.key in result.failed:
                run.failures.add(combo, StageError(result.failed[job.key]), method=job.settings.method)
    for output in result.tuned.values():
        run.keep(output)
    if methods is not None and jobs and not result.tuned:
        run.failures.stop_if_none([])
    return [job for job in jobs if job.key in result.tuned]


def has_training_set(run: Run, combo: Combo, learned: Learned, wanted: Sequence[str]) -> bool:
    """Whether there is something to tune on; a hole for each method where there is not."""
    if Unit(run.training.name, combo.style) in learned.labelled:
        return True
    for method in wanted:
        run.failures.add(combo, DataError("there are no rows to tune on: none is of the training set"), method=method)
    return False


def job_of(run: Run, combo: Combo, learned: Learned, settings: TuningSettings, seed: int) -> TuneJob:
    """A combo's job with these settings; texts are as long as the run's queries, rows no more than there are."""
    labelled = learned.labelled[Unit(run.training.name, combo.style)]
    train_rows = train_rows_within(settings.train_rows, labelled, combo.style)
    settings = replace(settings, max_tokens=run.query_tokens, train_rows=train_rows)
    weights = weights_of(combo.model)
    return tune_job(combo.model, run.dtype, combo.style, labelled, settings, seed, run.out, run.query_header, weights)


def not_tuned(run: Run, combo: Combo, learned: Mapping[str, Learned], jobs: Sequence[TuneJob]) -> dict[str, str]:
    """By key, why jobs of a combo are not tuned: its labels say nothing. What little they say is said before."""
    missing = [job for job in jobs if not finished(job.place, job.key)]
    if jobs and not missing:
        return {}
    check = combo_check(combo, learned[combo.model.name].labelled[Unit(run.training.name, combo.style)])
    reason = why_not_tuned(check, run.config.tuning.force_one_class) if jobs else ""
    return {job.key: f"labels: {reason}" for job in missing} if reason else {}
