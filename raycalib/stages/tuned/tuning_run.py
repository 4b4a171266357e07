"""Tunes jobs: many side by side with a worker each, few or large ones in turn by several workers together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raycalib.errors import ConfigError
from raycalib.stages.boards.trackers.tracked import tracked
from raycalib.stages.boards.trackers.tracking import NO_TRACKING, Tracking
from raycalib.stages.cluster import Cluster
from raycalib.stages.lines.progress import say
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.lines.worker_lines import WORKER_LINES
from raycalib.stages.orphans import own_groups_removed
from raycalib.stages.output import StageError, StageOutput, finished
from raycalib.stages.tuned.drivers import sole_driver
from raycalib.stages.tuned.families import families
from raycalib.stages.tuned.remedies import what_to_do
from raycalib.stages.tuned.room_for_jobs import share_out
from raycalib.stages.tuned.stops import begin_again, why_stopped
from raycalib.stages.tuned.train_run import run_train
from raycalib.stages.tuned.trial_files import FAILURE
from raycalib.stages.tuned.trial_run import run_trials
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.tuning_log import combo_start
from raycalib.storage import Location

LINES_COME_WITHIN_S = 5.0


@dataclass(frozen=True)
class TuningResult:
    """What became of the jobs, by their keys: each is tuned, or is not and is among the failed with cause and remedy.

    Of these some were stopped on purpose, and some were cut off: they ended with the whole run, through no fault of
    their own, and the same command goes on with them.
    """

    tuned: Mapping[str, StageOutput]
    failed: Mapping[str, str]
    stopped: frozenset[str] = frozenset()
    cut_off: frozenset[str] = frozenset()


def run_tuning(
    jobs: Sequence[TuneJob],
    out: Location,
    cluster: Cluster,
    most_failed: int | None = None,
    *,
    leave_stopped: bool = False,
    tracking: Tracking = NO_TRACKING,
) -> TuningResult:
    """Tunes the combos that are not finished, those that failed before among them; one cut off goes on from its
    last checkpoint. A combo that cannot be tuned does not keep the others from it.

    Args:
        jobs: combos, or cells of a sweep.
        out: the run's directory.
        cluster: where they are tuned.
        most_failed: once more of them have failed, the others are not begun; None is no bound.
        leave_stopped: those that were stopped stay so; else they go on.
        tracking: is told of the combos that are tuned now.

    Raises:
        ConfigError: there is no such cluster, one of its nodes does not see the run's directory, or another command is
            tuning one of the jobs there.
    """
    missing = [job for job in jobs if not finished(job.place, job.key)]
    if leave_stopped:
        missing = [job for job in missing if not why_stopped(job.place)]
    ended: Mapping[str, str] = {}
    was_cut_off = False
    if missing:
        cluster.connect()  # a cluster that is none, or does not see the run's directory, ends the run
        with sole_driver(missing, out):
            _begin(missing, leave_stopped)
            try:
                ended = _tune(missing, out, cluster, most_failed, tracking)
            except (StageError, ConfigError) as error:  # what needs no adapter has its figures all the same
                ended, was_cut_off = dict.fromkeys([job.key for job in missing], str(error)), True
        done = [combo_start(job.title) for job in missing if finished(job.place, job.key)]
        WORKER_LINES.wait_for(done, LINES_COME_WITHIN_S)
    tuned, failed = dict[str, StageOutput](), dict[str, str]()
    for job in jobs:
        output = finished(job.place, job.key)
        if output is None:
            why = why_stopped(job.place)
            failed[job.key] = f"stopped: {why}" if why else _cause(job, ended.get(job.key, ""))
        else:
            tuned[job.key] = replace(output, was_done=job not in missing)
    stopped = frozenset(job.key for job in jobs if why_stopped(job.place)) - tuned.keys()
    left = [job for job in missing if was_cut_off and job.key not in tuned.keys() | stopped]
    cut_off = frozenset(job.key for job in left if not job.place.exists(FAILURE))
    for job in missing:
        is_failure = job.key not in stopped | cut_off
        tracking.ended(tracked(job), "finished" if job.key in tuned else "failed" if is_failure else "stopped")
    return TuningResult(tuned, failed, stopped, cut_off)


def _begin(missing: Sequence[TuneJob], leave_stopped: bool) -> None:
    """Takes away what earlier runs have left of jobs that failed or were stopped, and says which are tuned again.

    Where stopped ones stay so, who asks for a stop since they were looked at is heard.
    """
    for job in missing:
        if not leave_stopped:
            begin_again(job.place)
        names = job.place.names()
        if FAILURE in names:
            (job.place / FAILURE).remove()
        if not names and not job.cell:  # else it goes on, or others beside it are other cells
            say_why_again(job.place, f"tuning {job.title}", job.identity, (job.input_key,))


def _tune(
    missing: Sequence[TuneJob], out: Location, cluster: Cluster, most_failed: int | None, tracking: Tracking
) -> Mapping[str, str]:
    """Why jobs ended without a word of their own, by key.

    Raises:
        ConfigError: the cluster has no room for them, or a setting needs more than it gives.
        StageError: a run of several workers failed.
    """
    n_workers, at_once = share_out(missing, cluster)
    if n_workers == 1:
        more = ", as far as there is room" if at_once > cluster.trainers_that_fit() else ""
        say(f"  tuning {len(missing)} combo(s), {at_once} at once{more}")
        return run_trials(missing, at_once, out, cluster, most_failed, tracking=tracking)
    with own_groups_removed(out):
        if at_once > 1:
            say(f"  tuning {len(missing)} combo(s), {at_once} at once with {n_workers} workers each")
            return run_trials(missing, at_once, out, cluster, most_failed, n_workers, tracking)
        say(f"  tuning {len(missing)} combo(s) in turn with {n_workers} workers")
        run_train([job for family in families(missing) for job in family], n_workers, out, cluster, most_failed)
        return {}


def _cause(job: TuneJob, ended: str) -> str:
    """Why a combo is not tuned, and what to do."""
    if job.place.exists(FAILURE):
        cause = job.place.read_json(FAILURE)["error"]
        return f"{cause}; {what_to_do(cause)}"
    return ended or f"tuning left no manifest in {job.place.uri}; run the same command again"
