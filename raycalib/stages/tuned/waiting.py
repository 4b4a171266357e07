"""Trials none of which can be at work, since the cluster has lost its room: said, and ended after a while."""

from collections.abc import Callable, Sequence
import time
from typing import Any

from ray.tune import Callback

from raycalib.stages.lines.progress import show
from raycalib.stages.output import StageError

SAID_AFTER_S = 30.0
SAID_EVERY_S = 30.0


class WaitingForRoom(Callback):
    """Looks whenever Tune does, which else would wait without a word and for ever."""

    def __init__(self, limit_s: float, lack: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        """Takes what a trial needs and what there is, as a user reads it, from ``lack``."""
        self.limit_s, self.lack, self.clock = limit_s, lack, clock
        self._since: float | None = None
        self._said = 0.0

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """Says why nothing goes on.

        Raises:
            StageError: nothing has for too long.
        """
        states = [trial.status for trial in trials]
        if "RUNNING" in states or "PENDING" not in states:
            self._since = None
            return
        now = self.clock()
        if self._since is None:
            self._since = self._said = now
        waited = now - self._since
        if waited >= self.limit_s:
            raise StageError(
                f"{states.count('PENDING')} trials found no room: {self.lack()}; waited {self.limit_s:g} s "
                "(--ray.wait-for-nodes-s)"
            )
        if waited >= SAID_AFTER_S and now - self._said >= SAID_EVERY_S:
            self._said = now
            show(f"  {states.count('PENDING')} trials wait: {self.lack()}; waiting since {waited:.0f} s", "waiting")
