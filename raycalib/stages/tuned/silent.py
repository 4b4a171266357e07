"""Trials from which nothing comes any more, such as one whose process hangs: named, again and again."""

from collections.abc import Callable, Sequence
import time
from typing import Any

from ray.tune import Callback

from raycalib.stages.lines.beats import BEATS, Beat
from raycalib.stages.lines.progress import say
from raycalib.stages.lines.worker_lines import lines_come
from raycalib.stages.tuned.families import family_of
from raycalib.stages.tuned.tune_job import TuneJob

LOOK_EVERY_S = 1.0


class SilentTrials(Callback):
    """Looks whenever Tune does, once a second at most, when something came of each trial that is at work.

    A trial is heard by the signs of life of its processes (``beats``) and by what it reports to Tune. Where Ray does
    not bring the lines of workers, nothing is heard and nothing said.
    """

    def __init__(
        self, jobs: Sequence[TuneJob], silent_for_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.jobs, self.silent_for_s, self.clock = list(jobs), silent_for_s, clock
        self._looked = -LOOK_EVERY_S
        self._began: dict[str, float] = {}
        """When the process of a trial took it over, by the trial's id."""
        self._reported: dict[str, float] = {}
        self._n_said: dict[str, int] = {}

    def on_trial_start(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """A process has taken it over."""
        self._forget(trial)
        self._began[trial.trial_id] = self.clock()

    def on_trial_result(self, iteration: int, trials: Sequence[Any], trial: Any, result: Any, **info: Any) -> None:
        """A report is a sign of life."""
        self._reported[trial.trial_id] = self.clock()

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """Says which trials are silent."""
        now = self.clock()
        if now - self._looked < LOOK_EVERY_S or not lines_come():
            return
        self._looked = now
        for trial in trials:
            if trial.status == "RUNNING":
                self._look(trial, now)
            else:
                self._forget(trial)

    def _forget(self, trial: Any) -> None:
        for known in (self._began, self._reported, self._n_said):
            known.pop(trial.trial_id, None)

    def _look(self, trial: Any, now: float) -> None:
        name, family = trial.trial_id, family_of(self.jobs, trial.config["job"])
        began = self._began.setdefault(name, now)
        beat = BEATS.last(job.key for job in family)
        if beat is not None and beat.heard_at < began:  # of another process
            beat = None
        job = next((job for job in family if beat and job.key == beat.key), family[0])
        silent = now - max(began, self._reported.get(name, began), beat.heard_at if beat else began)
        n_said, due = self._n_said.get(name, 0), int(silent / self.silent_for_s)
        if due > n_said:
            say(_line(job.title, silent, beat))
        elif n_said and not due:
            say(f"  tune {job.title}: something comes from it again{f' ({beat.doing.at})' if beat else ''}")
        self._n_said[name] = due


def _line(title: str, silent_s: float, beat: Beat | None) -> str:
    """What a user is told, and what can be done."""
    told = f"  tune {title}: nothing has come from it for {silent_s:.0f} s (--ray.silent-for-s)"
    if beat is None:
        return f"{told}, nor since its process took it over; Ray's dashboard shows that process"
    return (
        f"{told}, {beat.doing.at} was the last; its process is {beat.pid} on {beat.ip}: where it hangs, end it there "
        f"(kill -9 {beat.pid}), and the trial goes on from its last checkpoint, which --status shows"
    )
