"""Jobs of one worker each, side by side: trials of Ray Tune, which need no process group and start up once."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

from ray import tune

from raycalib.console import CONSOLE
from raycalib.errors import StorageError
from raycalib.run_logs import RUN_LOGS
from raycalib.secrets import hide_message
from raycalib.stages.boards.trackers.tracking import NO_TRACKING, Tracking
from raycalib.stages.cluster import Cluster
from raycalib.stages.orphans import Orphans
from raycalib.stages.output import StageError
from raycalib.stages.pools.room import nodes_now, workers_that_fit
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned.families import family_of, first_of_families
from raycalib.stages.tuned.job_states import ShownJobs
from raycalib.stages.tuned.live_table import LiveTable
from raycalib.stages.tuned.quiet import NoLines, quiet_tune
from raycalib.stages.tuned.remedies import what_to_do
from raycalib.stages.tuned.room_for_jobs import trainer_resources
from raycalib.stages.tuned.silent import SilentTrials
from raycalib.stages.tuned.trial_together import tune_together
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.tuned.waiting import WaitingForRoom
from raycalib.stages.tuned.watched import WatchedTrials
from raycalib.stages.workers.trial import tune_trial
from raycalib.storage import Location

FOLDER = "ray_tune"
"""Where Tune notes its own state, which nothing of ours reads."""


def run_trials(
    jobs: Sequence[TuneJob],
    at_once: int,
    out: Location,
    cluster: Cluster,
    most_failed: int | None = None,
    n_workers: int = 1,
    tracking: Tracking = NO_TRACKING,
) -> Mapping[str, str]:
    """Tunes the jobs, so many at once; a process that ends early is started again, and goes on from its checkpoint.

    Each family is a trial, whose process tunes its jobs in turn. The same process takes the next one: those of one
    model one after the other find it loaded. A family of several workers is tuned by a run of Ray Train, which the
    trial's process waits for.

    Args:
        jobs: to tune.
        at_once: so many of them.
        out: the run's directory.
        cluster: where they are tuned.
        most_failed: once more of them have failed, the others are not begun; None is no bound.
        n_workers: that tune a job together.
        tracking: is told of the jobs.

    Returns:
        By a job's key, why its process ended each time; a job's own failure stands in its place.
    """
    quiet_tune()
    name = f"tune-{uuid4().hex[:8]}"  # our own checkpoints resume a trial, so each run of Tune is a new one
    watched = WatchedTrials(jobs, name, most_failed)
    tuner = tune.Tuner(
        _trainable(jobs, n_workers, out, cluster.settings, name),
        param_space={"job": tune.grid_search(first_of_families(jobs))},
        tune_config=tune.TuneConfig(max_concurrent_trials=at_once, reuse_actors=True),
        run_config=tune.RunConfig(
            name=name,
            storage_path=(out / FOLDER).uri,
            callbacks=[
                WaitingForRoom(cluster.settings.wait_for_nodes_s, partial(_lack, cluster.settings)),
                watched,
                SilentTrials(jobs, cluster.settings.silent_for_s),
                LiveTable(jobs),
                ShownJobs(jobs, watched.failed, out.absolute().name, tracking),
                NoLines(),
                *([Orphans()] if n_workers > 1 else []),
            ],
            failure_config=tune.FailureConfig(max_failures=-1),  # WatchedTrials bounds them
            verbose=0,
        ),
    )
    failed = dict[str, str]()
    for result in _results(tuner):
        if result.error is not None:
            lines = str(result.error).strip().splitlines() or [type(result.error).__name__]
            cause = hide_message(f"{lines[-1]}; {what_to_do(lines[-1])}")
            failed |= {job.key: cause for job in family_of(jobs, result.config["job"])}
    if not failed and (out / FOLDER / name).names():  # else its files may say more
        with suppress(StorageError):  # what stays harms nobody
            (out / FOLDER / name).remove()
    return failed


def _trainable(jobs: Sequence[TuneJob], n_workers: int, out: Location, settings: RaySettings, run: str) -> Any:
    """What a trial does, and what its process takes: where it waits for a run of Ray Train that is a byte of memory,
    since Tune knows no trial of nothing, and the run's workers take all else.
    """
    if n_workers == 1:
        given = {"jobs": list(jobs), "use_gpu": settings.on_gpu, "run": run}
        return tune.with_resources(tune.with_parameters(tune_trial, **given), trainer_resources(settings))
    together = {
        "jobs": list(jobs),
        "n_workers": n_workers,
        "out": out,
        "settings": settings,
        "where": RUN_LOGS.where,
        "run": run,
    }
    return tune.with_resources(tune.with_parameters(tune_together, **together), {"memory": 1})


def _results(tuner: tune.Tuner) -> tune.ResultGrid:
    """What became of the trials.

    Raises:
        StageError: they found no room on the cluster, which a callback raises, or Tune itself failed.
    """
    try:
        return tuner.fit()
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, StageError):
            cause = cause.__cause__ or cause.__context__
        last = str(cause or error).strip().splitlines()[-1:] or [type(error).__name__]
        raise StageError(hide_message(f"tuning failed: {last[0]}; {what_to_do(last[0])}")) from error
    finally:
        CONSOLE.end_table()


def _lack(settings: RaySettings) -> str:
    """What a trial needs, and what the cluster holds; of plain values, since Tune pickles its callbacks."""
    cpus, gpus = settings.cpus_per_worker, settings.gpus_per_trainer
    needs = f"{cpus:g} CPU, {gpus} GPU" if gpus else f"{cpus:g} CPU"
    has_room_for = sum(workers_that_fit(node, cpus, gpus) for node in nodes_now())
    return f"each needs {needs}; the cluster has room for {has_room_for}"
