"""With which other jobs a job is compared at rungs."""

from dataclasses import replace

from raycalib.hashing import stable_hash
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.storage import Location
from raycalib.tuning.rungs import Rungs, milestones


def with_rungs(job: TuneJob, place: Location, grace_period: int, reduction_factor: float) -> TuneJob:
    """The job, compared with those of the same combo, labels, method, schedule and steps: of others the learning rate
    is another one at the same step, which says nothing about their ends.

    Args:
        job: to tune.
        place: of all rungs of a sweep.
        grace_period: steps before the first rung; 0 is the first evaluation.
        reduction_factor: of so many jobs one goes on, about.
    """
    settings = job.settings
    group = stable_hash(job.model.name, job.style, job.input_key, settings.method, settings.schedule, settings.steps)
    rungs = Rungs(
        place=place / group,
        key=job.key,
        milestones=milestones(grace_period or settings.eval_every, reduction_factor, settings.steps),
        reduction_factor=reduction_factor,
    )
    return replace(job, rungs=rungs)
