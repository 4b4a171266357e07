"""Tells the driver now and then that a job goes on, and what it is at."""

from collections.abc import Callable
from dataclasses import replace
import time
from typing import Any

from raycalib.stages.lines.beats import Doing
from raycalib.stages.lines.progress import beat

BEAT_EVERY_S = 2.0


class Pulse:
    """Of one job. What is told is never shown as a line."""

    def __init__(self, key: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``key`` is the job's; an empty one tells nothing, as of workers beside the first."""
        self.key, self.clock = key, clock
        self.doing = Doing(at="beginning")
        self._told = -BEAT_EVERY_S

    def begin(self, at: str) -> None:
        """Something that may take long and says nothing meanwhile: told at once."""
        self.now(at=at)
        self._tell()

    def now(self, **changes: Any) -> None:
        """What it is at from now on, by the names of ``Doing``; told with the next sign of life."""
        self.doing = replace(self.doing, **changes)

    def beat(self) -> None:
        """A sign of life, told every two seconds at most."""
        if self.key and self.clock() - self._told >= BEAT_EVERY_S:
            self._tell()

    def end(self) -> None:
        """The last one."""
        self.now(at="done", is_over=True)
        self._tell()

    def _tell(self) -> None:
        if self.key:
            self._told = self.clock()
            beat(self.doing.text, self.key)
