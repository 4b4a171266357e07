"""Families: jobs that differ in their length alone and share a trunk, which one process tunes in turn."""

from collections.abc import Sequence

from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.tuning.schedule import branch_step


def families(jobs: Sequence[TuneJob]) -> list[list[TuneJob]]:
    """The jobs by family, in the order of ``first_of_families``; a job without a trunk is a family.

    Within it those that leave the trunk sooner come first, so that each begins where the one before it has left it.
    """
    return [family_of(jobs, first) for first in first_of_families(jobs)]


def family_of(jobs: Sequence[TuneJob], place: int) -> list[TuneJob]:
    """The family of the job that stands there, in the order in which they are tuned."""
    wanted = _name(jobs[place])
    family = [job for job in jobs if _name(job) == wanted]
    return sorted(family, key=lambda job: (branch_step(job.settings), job.settings.steps))


def first_of_families(jobs: Sequence[TuneJob]) -> list[int]:
    """Where the first job of each family stands: families of more rows first, else in the jobs' order.

    A long one that is begun last keeps a whole cluster waiting; those of one model stay together, which find it loaded.
    """
    names = [_name(job) for job in jobs]
    n_rows = dict[str, int]()
    for name, job in zip(names, jobs, strict=True):
        n_rows[name] = max(n_rows.get(name, 0), job.settings.steps * job.settings.global_batch_size)
    return [names.index(name) for name in sorted(n_rows, key=lambda name: -n_rows[name])]


def _name(job: TuneJob) -> str:
    return job.trunk.key if job.trunk else job.key
