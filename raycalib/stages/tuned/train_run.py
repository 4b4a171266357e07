"""Tunes all combos in turn in one Ray Train run; start-up is paid once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
import os
from typing import Any
from uuid import uuid4

from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchTrainer

from raycalib.errors import ConfigError
from raycalib.run_logs import RUN_LOGS
from raycalib.stages.cluster import Cluster
from raycalib.stages.lines.progress import say, show
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.lines.worker_lines import WORKER_LINES
from raycalib.stages.output import StageError, StageOutput, finished
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.tuning import FAILURE, train_loop
from raycalib.stages.workers.tuning_log import combo_start
from raycalib.storage import Location
from raycalib.tuning.settings import check_workers

FAILURES_PER_COMBO = 3
STARTS_IN_VAIN = 3
"""Waits for the workers' room, each of which ended without it, after which a run ends."""

START_WITHIN = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
LINES_COME_WITHIN_S = 5.0


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


@dataclass(frozen=True)
class TuningResult:
    """What became of the jobs, by their keys: each is tuned, or failed with its cause and remedy."""

    tuned: Mapping[str, StageOutput]
    failed: Mapping[str, str]


def run_tuning(jobs: Sequence[TuneJob], out: Location, cluster: Cluster) -> TuningResult:
    """Tunes the combos that are not finished, those that failed before among them; one cut off goes on from its
    last checkpoint. A combo that cannot be tuned does not keep the others from it.
    """
    missing = [job for job in jobs if not finished(job.place, job.key)]
    stopped = ""
    if missing:
        try:
            n_workers = _workers(missing, cluster)
            for job in missing:
                if not job.place.names():  # else it goes on
                    say_why_again(job.place, f"tuning {job.title}", job.identity, (job.input_key,))
            show(f"  tuning {len(missing)} combo(s) with {n_workers} worker(s): starting")
            _fit(missing, n_workers, out, cluster)
        except (StageError, ConfigError) as error:  # what needs no adapter has its figures all the same
            stopped = str(error)
        done = [combo_start(job.title) for job in missing if finished(job.place, job.key)]
        WORKER_LINES.wait_for(done, LINES_COME_WITHIN_S)
    tuned, failed = dict[str, StageOutput](), dict[str, str]()
    for job in jobs:
        output = finished(job.place, job.key)
        if output is None:
            failed[job.key] = _cause(job, stopped)
        else:
            tuned[job.key] = replace(output, was_done=job not in missing)
    return TuningResult(tuned, failed)


def _workers(missing: Sequence[TuneJob], cluster: Cluster) -> int:
    """Of the trainer, each of which has a row in every step.

    Raises:
        ConfigError: the cluster has no room for them, or a setting needs more than it gives.
    """
    n_workers = cluster.trainers(min(job.settings.global_batch_size for job in missing))
    for job in missing:
        check_workers(job.settings, n_workers)
    return n_workers


def _cause(job: TuneJob, stopped: str) -> str:
    """Why a combo is not tuned, and what to do."""
    if job.place.exists(FAILURE):
        cause = job.place.read_json(FAILURE)["error"]
        return f"{cause}; {_remedy(cause)}{_goes_on()}"
    return stopped or f"tuning left no manifest in {job.place.uri}; run the same command again"


def _fit(missing: Sequence[TuneJob], n_workers: int, out: Location, cluster: Cluster) -> None:
    """One run of Ray Train; raises StageError where it fails."""
    settings = cluster.settings
    # Ray's minute is too short for a node that is bought anew, and it would then try for ever.
    os.environ.setdefault(START_WITHIN, str(settings.wait_for_nodes_s))
    name = f"tune-{uuid4().hex[:8]}"  # our own checkpoints resume a run, so each Ray Train run is a new one
    trainer = TorchTrainer(
        train_loop,
        train_loop_config={"jobs": missing, "use_gpu": settings.gpus_per_worker > 0, "run": name},
        scaling_config=ScalingConfig(
            num_workers=n_workers,
            use_gpu=settings.gpus_per_worker > 0,
            resources_per_worker=_resources(cluster),
        ),
        run_config=RunConfig(
            name=name,
            storage_path=(out / "ray_train").uri,
            failure_config=FailureConfig(
                max_failures=FAILURES_PER_COMBO * len(missing), controller_failure_limit=STARTS_IN_VAIN
            ),
            callbacks=[SayFailures(RUN_LOGS.where)],
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        cause = str(error.__cause__ or error).strip().splitlines()
        last = cause[-1] if cause else type(error).__name__
        if any(START_WITHIN in line for line in cause):
            last = (
                f"{n_workers} workers found no room on the cluster, waited {STARTS_IN_VAIN + 1} times "
                f"{settings.wait_for_nodes_s:g} s (--ray.wait-for-nodes-s)"
            )
        raise StageError(f"tuning failed: {last}; {_remedy(last)}{_goes_on()}") from error


def _resources(cluster: Cluster) -> dict[str, float]:
    settings = cluster.settings
    resources = {"CPU": settings.cpus_per_worker}
    if settings.gpus_per_worker:
        resources["GPU"] = settings.gpus_per_trainer
    return resources


def _goes_on() -> str:
    """What becomes of a run whose tuning failed."""
    return (
        "checkpoints stay, run the same command again to go on from them; what the workers printed is in "
        f"{RUN_LOGS.where}"
    )


def _remedy(cause: str) -> str:
    """What to do where a worker ran out of its GPU's memory; the checkpoints suit other settings of that kind."""
    if "out of memory" not in cause.lower():
        return ""
    return (
        "give a smaller --tuning.micro-batch-size, --tuning.gradient-checkpointing, --tuning.base-bits 8, or more "
        "workers with --tuning.zero-stage 3; --plan says what fits; "
    )
