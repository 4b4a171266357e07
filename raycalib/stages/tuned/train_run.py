"""Several workers tune jobs in turn in one run of Ray Train; start-up is paid once."""

from collections.abc import Sequence
import os
from typing import Any
from uuid import uuid4

from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchConfig, TorchTrainer

from raycalib.run_logs import RUN_LOGS
from raycalib.stages.cluster import Cluster
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageError
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned.remedies import what_to_do
from raycalib.stages.tuned.room_for_jobs import trainer_resources
from raycalib.stages.tuned.trial_files import FAILURE
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.tuned.watched import too_many_failed
from raycalib.stages.workers.train_loop import train_loop
from raycalib.storage import Location

FAILURES_PER_COMBO = 3
STARTS_IN_VAIN = 3
"""Waits for the workers' room, each of which ended without it, after which a run ends."""

START_WITHIN = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"


class SayFailures(UserCallback):
    """One line where workers failed and Ray starts them anew; it is called in the process that controls them."""

    def __init__(self, where: str) -> None:
        self.where = where

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Says the first worker's cause."""
        rank, error = min(worker_exceptions.items())
        lines = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        say(
            f"  tuning: worker {rank} failed ({lines[-1]}); starting again once the cluster holds all workers; "
            f"what the workers printed is in {self.where}"
        )


class NoRoomError(StageError):
    """The cluster had no room for all workers of a run within the time that is waited."""


def run_train(
    missing: Sequence[TuneJob], n_workers: int, out: Location, cluster: Cluster, most_failed: int | None = None
) -> None:
    """Tunes the jobs, each by all workers together; once more than ``most_failed`` have failed, no more is begun.

    Raises:
        StageError: the run failed, or too many have; a job's own failure stands in its place.
    """
    train_together(missing, n_workers, out, cluster.settings, where=RUN_LOGS.where, most_failed=most_failed)
    n_failed = sum(job.place.exists(FAILURE) for job in missing)
    if most_failed is not None and n_failed > most_failed:
        raise StageError(too_many_failed(n_failed, most_failed))


def train_together(
    jobs: Sequence[TuneJob],
    n_workers: int,
    out: Location,
    settings: RaySettings,
    *,
    where: str,
    run: str = "",
    most_failed: int | None = None,
) -> None:
    """Tunes the jobs in turn, each by all workers together, in a run of Ray Train that this process waits for.

    Args:
        jobs: that are not finished.
        n_workers: of the run.
        out: the run's directory.
        settings: of the cluster.
        where: what the workers print is to be found.
        run: names it in what jobs leave that cannot be tuned; empty for a name of its own.
        most_failed: once more of them have failed, the others are not begun; None is no bound.

    Raises:
        NoRoomError: the workers found no room.
        StageError: the run failed; a job's own failure stands in its place.
    """
    # Ray's minute is too short for a node that is bought anew, and it would then try for ever.
    os.environ.setdefault(START_WITHIN, str(settings.wait_for_nodes_s))
    name = f"tune-{uuid4().hex[:8]}"  # our own checkpoints resume a run, so each Ray Train run is a new one
    trainer = TorchTrainer(
        train_loop,
        train_loop_config={
            "jobs": jobs,
            "use_gpu": settings.on_gpu,
            "run": run or name,
            "most_failed": most_failed,
        },
        torch_config=None if settings.on_gpu else TorchConfig(backend="gloo"),
        scaling_config=ScalingConfig(
            num_workers=n_workers,
            use_gpu=settings.gpus_per_worker > 0,
            resources_per_worker=trainer_resources(settings),
        ),
        run_config=RunConfig(
            name=name,
            storage_path=(out / "ray_train").uri,
            failure_config=FailureConfig(
                max_failures=FAILURES_PER_COMBO * len(jobs), controller_failure_limit=STARTS_IN_VAIN
            ),
            callbacks=[SayFailures(where)],
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        raise _why(error, n_workers, settings) from error


def _why(error: Exception, n_workers: int, settings: RaySettings) -> StageError:
    """Of Ray Train's error: its last line and what to do, or that there was no room."""
    cause = str(error.__cause__ or error).strip().splitlines()
    last = cause[-1] if cause else type(error).__name__
    if any(START_WITHIN in line for line in cause):
        return NoRoomError(
            f"tuning failed: {n_workers} workers found no room on the cluster, waited {STARTS_IN_VAIN + 1} times "
            f"{settings.wait_for_nodes_s:g} s (--ray.wait-for-nodes-s); {what_to_do(last)}"
        )
    return StageError(f"tuning failed: {last}; {what_to_do(last)}")
