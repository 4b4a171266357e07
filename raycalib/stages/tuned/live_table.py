"""On a terminal, trials at work as a table that is drawn anew while they go on, in place of a line each."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
import time
from typing import Any

from ray.tune import Callback

from raycalib.console import CONSOLE
from raycalib.stages.lines.beats import BEATS, Beat, Doing
from raycalib.stages.lines.trial_table import TrialRow, TrialsSummary, table_lines
from raycalib.stages.tuned.families import family_of
from raycalib.stages.tuned.job_end import end_of
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.trial import FAILED
from raycalib.stages.workers.tuning_log import combo_start

DRAW_EVERY_S = 1.0
LEAST_JOBS = 2
"""Of fewer the line of each says more."""

AT_WORK, FINISHED, FAILED_STATE, WAITING, STOPPED = "at work", "finished", "failed", "waiting", "stopped"


class LiveTable(Callback):
    """Draws whenever Tune calls it, once a second at most; elsewhere than on a terminal it does nothing.

    What it knows of a trial is what this has said of itself (``beats``), Tune's own word of its state, and once it has
    ended its files.
    """

    def __init__(self, jobs: Sequence[TuneJob], clock: Callable[[], float] = time.monotonic) -> None:
        self.jobs, self.clock = list(jobs), clock
        self._began, self._drawn = clock(), -DRAW_EVERY_S
        self._over: dict[str, str] = {}
        """By key, how a job has ended."""
        self._pace: dict[str, float] = {}
        """By combo, seconds a step, as the last trial that said so."""

    def on_trial_result(self, iteration: int, trials: Sequence[Any], trial: Any, result: Any, **info: Any) -> None:
        """Counts a job that has left its failure."""
        if key := result.get(FAILED):
            self._over[key] = FAILED_STATE

    def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """Sees what has become of its jobs."""
        if self._is_wanted():
            for job in family_of(self.jobs, trial.config["job"]):
                self._over.setdefault(job.key, end_of(job))

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """Counts what is left of it as failed."""
        for job in family_of(self.jobs, trial.config["job"]):
            self._over.setdefault(job.key, FAILED_STATE)

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """Draws the table."""
        now = self.clock()
        if now - self._drawn < DRAW_EVERY_S or not self._is_wanted():
            return
        self._drawn = now
        for job in self.jobs:
            if (beat := self._beat(job)) and beat.doing.is_over:
                self._over.setdefault(job.key, end_of(job))
        found = [self._job(trial) for trial in trials if trial.status == "RUNNING"]
        at_work = [job for job in found if job is not None]
        rows = [TrialRow(job.key, _combo(job), _title(job), self._doing(job)) for job in at_work]
        lines = frozenset(combo_start(job.title) for job in self.jobs)
        CONSOLE.table(partial(table_lines, rows, self._summary(at_work, now)), lines)

    def _is_wanted(self) -> bool:
        return len(self.jobs) >= LEAST_JOBS and CONSOLE.is_terminal

    def _beat(self, job: TuneJob) -> Beat | None:
        """What the job has said last, since this run of Tune began."""
        beat = BEATS.of(job.key)
        return beat if beat and beat.heard_at >= self._began else None

    def _doing(self, job: TuneJob) -> Doing | None:
        beat = self._beat(job)
        return beat.doing if beat else None

    def _job(self, trial: Any) -> TuneJob | None:
        """Of the trial's family, the one that it is at."""
        return next((job for job in family_of(self.jobs, trial.config["job"]) if job.key not in self._over), None)

    def _summary(self, at_work: Sequence[TuneJob], now: float) -> TrialsSummary:
        counts = Counter(self._over[job.key] for job in self.jobs if job.key in self._over)
        counts[AT_WORK] = len(at_work)
        counts[WAITING] = len(self.jobs) - counts.total()
        said = {job.key: beat.doing for job in self.jobs if (beat := self._beat(job))}
        known = [(doing.best_nll, key) for key, doing in said.items() if doing.best_nll is not None]
        best_nll, best_key = min(known, default=(None, ""))
        where = next((f"{_combo(job)} {_title(job)}" for job in self.jobs if job.key == best_key), "")
        return TrialsSummary(
            counts={state: counts[state] for state in (AT_WORK, FINISHED, FAILED_STATE, WAITING, STOPPED)},
            best_nll=best_nll,
            best_where=where,
            elapsed_s=now - self._began,
            left_s=self._left(len(at_work)),
        )

    def _left(self, n_at_work: int) -> float | None:
        """Seconds until all are done, by the pace of those that are known and as many at once as now."""
        open_jobs = [(job, self._beat(job)) for job in self.jobs if job.key not in self._over]
        for job, beat in open_jobs:
            if beat and beat.doing.left_s is not None and beat.doing.step < beat.doing.steps:
                self._pace[_combo(job)] = beat.doing.left_s / (beat.doing.steps - beat.doing.step)
        if not self._pace:
            return None
        usual = sum(self._pace.values()) / len(self._pace)
        left = [
            (job.settings.steps - (beat.doing.step if beat else 0)) * self._pace.get(_combo(job), usual)
            for job, beat in open_jobs
        ]
        return sum(left) / max(1, n_at_work)


def _combo(job: TuneJob) -> str:
    return f"{job.model.name}/{job.style}"


def _title(job: TuneJob) -> str:
    return job.cell or job.settings.method
