"""How far the jobs of a run of Ray Tune are, by what its trials have reported, and what boards are told of it."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
import time
from typing import Any, Literal, get_args

from ray.tune import Callback

from raycalib.stages.boards import ray_metrics
from raycalib.stages.boards.trackers.tracked import tracked
from raycalib.stages.boards.trackers.tracking import NO_TRACKING, Tracking
from raycalib.stages.tuned.families import family_of
from raycalib.stages.tuned.job_end import JobEnd, end_of
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.trial import JOB, STOPPED

JobState = Literal["waiting", "running", "finished", "failed", "stopped"]
FAILED_STATE: JobEnd = "failed"


def states_of(
    family: Sequence[TuneJob], status: str, begun: Collection[str], ended: Mapping[str, JobEnd], is_over: bool
) -> dict[str, JobState]:
    """The state of each job of a family, which one trial tunes in turn, by its key.

    Args:
        family: in the order in which they are tuned.
        status: of the trial, as Tune calls it.
        begun: keys of the jobs that have reported something.
        ended: by key, how those have ended of which that is known.
        is_over: nothing more is tuned, so what is not done was stopped.
    """
    last = max((place for place, job in enumerate(family) if job.key in begun or job.key in ended), default=-1)
    states = dict[str, JobState]()
    for place, job in enumerate(family):
        if job.key in ended:
            states[job.key] = ended[job.key]
        elif place < last or status == "TERMINATED":
            states[job.key] = "finished"
        elif status == "ERROR":
            states[job.key] = "failed"
        elif is_over:
            states[job.key] = "stopped"
        elif status == "RUNNING" and not any(state == "running" for state in states.values()):
            states[job.key] = "running"
        else:
            states[job.key] = "waiting"
    return states


class ShownJobs(Callback):
    """Keeps Ray's metric of the jobs' states, and tells trackers of the jobs.

    Tune pickles its callbacks: a copy shows states and tells no tracker.
    """

    def __init__(
        self,
        jobs: Sequence[TuneJob],
        failed: Collection[str],
        sweep: str,
        tracking: Tracking = NO_TRACKING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins with nothing to show.

        Args:
            jobs: of the run of Tune.
            failed: keys of those that cannot be tuned, to which others add while they are tuned.
            sweep: as the metric calls it.
            tracking: is told of evaluations, and of jobs that are done.
            clock: in seconds.
        """
        self.jobs, self.failed, self.sweep, self.tracking = list(jobs), failed, sweep, tracking
        self.clock = clock
        self._by_key = {job.key: job for job in jobs}
        self._begun = set[str]()
        self._ended = dict[str, JobEnd]()
        self._shown = -ray_metrics.SHOWN_EVERY_S

    def on_trial_result(self, iteration: int, trials: Sequence[Any], trial: Any, result: Any, **info: Any) -> None:
        """Notes which job a trial is at, and passes on its figures."""
        if key := result.get(JOB):
            self._begun.add(key)
            self.tracking.evaluated(tracked(self._by_key[key]), result)
        if key := result.get(STOPPED):
            self._ended[key] = "stopped"

    def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """Sees what has become of its jobs."""
        for job in family_of(self.jobs, trial.config["job"]):
            self._ended.setdefault(job.key, end_of(job))

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """Shows the states every few seconds."""
        if self.clock() - self._shown >= ray_metrics.SHOWN_EVERY_S:
            self._show(self.states(trials))

    def on_experiment_end(self, trials: Sequence[Any], **info: Any) -> None:
        """Shows what became of the jobs."""
        self._show(self.states(trials, is_over=True))

    def states(self, trials: Sequence[Any], is_over: bool = False) -> dict[str, JobState]:
        """Of each job, by its key; ``is_over`` once nothing more is tuned."""
        states: dict[str, JobState] = {job.key: "stopped" if is_over else "waiting" for job in self.jobs}
        for trial in trials:
            family = family_of(self.jobs, trial.config["job"])
            ended = self._ended | dict.fromkeys(self.failed, FAILED_STATE)
            states |= states_of(family, trial.status, self._begun, ended, is_over)
        return states

    def _show(self, states: Mapping[str, JobState]) -> None:
        self._shown = self.clock()
        counts = Counter(states.values())
        for state in get_args(JobState):  # those that are 0 as well, or Ray would show what they were
            ray_metrics.set_gauge(ray_metrics.TRIALS, counts[state], sweep=self.sweep, state=state)
        for key, state in states.items():
            if state in ("finished", "failed"):
                self.tracking.ended(tracked(self._by_key[key]), state)
