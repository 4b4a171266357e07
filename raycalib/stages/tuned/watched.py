"""What goes wrong with trials: said, counted, and ended where it goes on."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ray.tune import Callback

from raycalib.errors import StorageError
from raycalib.secrets import hide_message
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageError
from raycalib.stages.tuned.families import family_of
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.trial import FAILED
from raycalib.stages.workers.tuning import is_settled, leave_failure
from raycalib.tuning.checkpoint import complete_checkpoints

UNKNOWN = "its process ended; the cause is in the run's logs"
DEATHS_IN_VAIN = 3
"""Ends of a trial's process with no new checkpoint between them, after which it is not started again."""
STORE_FAULTS = 30
"""The same of ends since the store did not answer, which come some ten seconds after one another and more."""


class WatchedTrials(Callback):
    """Is told by Tune of each trial's result, end and error; ``run`` is the name of the run of Tune.

    Attributes:
        failed: keys of the jobs that cannot be tuned.
    """

    def __init__(self, jobs: Sequence[TuneJob], run: str, most_failed: int | None) -> None:
        self.jobs, self.run, self.most_failed = list(jobs), run, most_failed
        self.failed = set[str]()
        self._deaths: dict[str, tuple[int, int]] = {}

    def on_trial_result(self, iteration: int, trials: Sequence[Any], trial: Any, result: Any, **info: Any) -> None:
        """Counts a job that has left its failure."""
        if key := result.get(FAILED):
            self.failed.add(key)

    def on_trial_recover(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """Says that a process has ended; where it did so again and again without a checkpoint, lets it be.

        Raises:
            StageError: the process of a trial that was let be ends again and again before it sees that.
        """
        try:
            self._note_end(trial)
        except StorageError as error:  # which says nothing of the trial: it is started again
            say(f"  a trial's process ended and is started again; the store did not say which: {error}")

    def _note_end(self, trial: Any) -> None:
        job, cause = self._job(trial), f" ({found})" if (found := last_line(trial)) else ""
        steps = [step for step, _ in complete_checkpoints(job.place / "checkpoints")]
        newest = max(steps, default=0)
        before, times = self._deaths.get(job.key, (newest, 0))
        times = times + 1 if newest == before else 1
        self._deaths[job.key] = (newest, times)
        most = STORE_FAULTS if StorageError.__name__ in cause else DEATHS_IN_VAIN
        if job.key in self.failed and times >= 2 * most:
            raise StageError(f"the process of {job.title} ends whenever it is started{cause}")
        if times < most:
            said = f"goes on from step {newest}" if newest else "begins again"
            say(f"  tune {job.title}: its process ended{cause}; it {said}")
        else:
            leave_failure(
                job, self.run, RuntimeError(f"its process ended {times} times without a new checkpoint{cause}")
            )
            self.failed.add(job.key)

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """Counts what is left to tune of a trial that Tune has given up."""
        for job in family_of(self.jobs, trial.config["job"]):
            with suppress(StorageError):
                if is_settled(job, self.run):
                    continue
            if job.key not in self.failed:
                self.failed.add(job.key)
                say(f"  tune {job.title}: failed: {last_line(trial) or UNKNOWN}")

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """Ends all trials where too many have failed.

        Raises:
            StageError: they have; those at work keep their checkpoints.
        """
        if self.most_failed is not None and len(self.failed) > self.most_failed:
            raise StageError(too_many_failed(len(self.failed), self.most_failed))

    def _job(self, trial: Any) -> TuneJob:
        """The job that the trial is at: the first of its family that is not settled."""
        family = family_of(self.jobs, trial.config["job"])
        return next((job for job in family if not is_settled(job, self.run)), family[-1])


def too_many_failed(n_failed: int, most: int) -> str:
    """Why no more trials are begun."""
    return f"stopped, since {n_failed} trials have failed, more than {most} (--max-failed-trials)"


def last_line(trial: Any) -> str:
    """The cause of a trial's end, without secrets; empty where Tune knows none, as of a node that is gone."""
    error = trial.get_pickled_error() or trial.get_error()
    if error is None:
        return ""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return hide_message(lines[-1])
