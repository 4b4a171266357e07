"""Shares of what a cluster has to compute with: so many pools at once, in the order in which they ask."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from raycalib.stages.chains.stopping import check_stopped

LOOK_EVERY_S = 0.5


class Shares:
    """Whose turn it is; threads call it. A pool that holds a share asks for no other, so none waits for itself."""

    def __init__(self, count: Callable[[], int]) -> None:
        """``count`` says how many shares there are at the moment; it may change as nodes come and go."""
        self._count = count
        self._changed = Condition()
        self._waiting = deque[object]()
        self._taken = 0

    @contextmanager
    def taken(self, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Holds a share, once there is one.

        Args:
            waits: called once, where there is none yet.
        """
        self._take(waits)
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()

    def _take(self, waits: Callable[[], None]) -> None:
        turn, has_waited = object(), False
        with self._changed:
            self._waiting.append(turn)
            try:
                while self._waiting[0] is not turn or self._taken >= self._count():
                    if not has_waited:
                        waits()
                        has_waited = True
                    self._changed.wait(LOOK_EVERY_S)
                    check_stopped()
                self._taken += 1
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()
