"""How a cluster is shared out among jobs: workers of each, and how many jobs at once."""

from collections.abc import Sequence
from typing import NamedTuple

from raycalib.stages.cluster import Cluster
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned.families import families
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.tuning.settings import check_workers


class Shared(NamedTuple):
    """Workers that tune a job together, and jobs that are tuned at once."""

    n_workers: int
    at_once: int


def share_out(jobs: Sequence[TuneJob], cluster: Cluster) -> Shared:
    """How the jobs share what the cluster holds, once it holds one of them.

    Of at least as many jobs as there are GPUs each has one, side by side. Fewer are tuned one after the other, each by
    all GPUs together, and so are those that are split over several by a ZeRO stage. On CPUs each has one worker. Where
    the settings say how many workers a job has, as many jobs are at work as the cluster holds such groups of them.
    Jobs of one family, which follow one another, count as one.

    Raises:
        ConfigError: the cluster has no room for one of them, or a setting needs more workers than that.
    """
    n_families = len(families(jobs))
    smallest = min(job.settings.global_batch_size for job in jobs)
    n_workers = cluster.trainers(smallest, 1 if any(job.settings.zero_stage for job in jobs) else n_families)
    for job in jobs:
        check_workers(job.settings, n_workers)
    if n_workers == 1:
        return Shared(1, min(cluster.trials_at_once(), n_families))
    # Nodes that may come are not counted: a run of Ray Train gives up where its workers find no room.
    return Shared(n_workers, max(1, min(cluster.trainers_that_fit() // n_workers, n_families)))


def trainer_resources(settings: RaySettings) -> dict[str, float]:
    """What one worker takes."""
    resources = {"CPU": settings.cpus_per_worker}
    if settings.gpus_per_worker:
        resources["GPU"] = settings.gpus_per_trainer
    return resources
