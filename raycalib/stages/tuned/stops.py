"""Jobs that are stopped on purpose: from a second terminal, or since they fall behind others."""

from collections.abc import Callable
from contextlib import suppress
import time

from raycalib.errors import StorageError
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.storage import Location
from raycalib.tuning.figures import TuningProgress

STOP = "stop.json"
"""Why a job is stopped, or is to stop; in its place, so that whoever is at it sees it, wherever."""

BY_HAND = "by --stop-trial"
LOOK_EVERY_S = 5.0


def ask_to_stop(place: Location) -> None:
    """Has a job stop within seconds, with a checkpoint; one that is not begun is not begun any more."""
    place.write_json(STOP, {"reason": BY_HAND, "step": None})


def why_stopped(place: Location) -> str:
    """Why a job is stopped, or is to stop, and where; empty where nobody has said so."""
    if not place.exists(STOP):
        return ""
    found = place.read_json(STOP)
    step = found.get("step")
    return str(found["reason"]) if step is None else f"{found['reason']}, at step {step}"


def begin_again(place: Location) -> None:
    """Lets a job that was stopped go on from its checkpoint."""
    if place.exists(STOP):
        (place / STOP).remove()


class Stops:
    """Whether a job is to stop, asked by the process that is at it."""

    def __init__(self, job: TuneJob, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes the job; its place is looked at every few seconds at most."""
        self.job, self.clock, self.reason = job, clock, ""
        self._looked = clock()

    def ask(self, figures: TuningProgress | None) -> bool:
        """Whether to stop; a store that does not answer stops nobody.

        Args:
            figures: of an evaluation, by which a job may fall behind others; None between evaluations.
        """
        with suppress(StorageError):
            if self.clock() - self._looked >= LOOK_EVERY_S:
                self._looked = self.clock()
                self.reason = self.reason or why_stopped(self.job.place)
            if figures is not None and self.job.rungs is not None and not self.reason:
                self.reason = self.job.rungs.falls_behind(figures.step, figures.val_nll)
        return bool(self.reason)

    def leave(self, step: int) -> None:
        """Notes why the job is stopped, and after which step."""
        self.job.place.write_json(STOP, {"reason": self.reason, "step": step})
