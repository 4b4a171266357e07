"""Calls that a thread has made by the first one: what Ray starts ends with the thread that started it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import SimpleQueue
from threading import Event
from typing import Any

from raycalib.stages.chains.stopping import StoppedError, check_stopped

LOOK_EVERY_S = 0.5
_CALLS: ContextVar[SimpleQueue[Any] | None] = ContextVar("calls", default=None)


class Call:
    """A function without a result, made by one thread for another."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function, self._made = function, Event()
        self._error: Exception | None = None

    def make(self) -> None:
        """Calls the function; what it raises is the other thread's, except what ends the process."""
        try:
            self._function()
        except Exception as error:
            self._error = error
        except BaseException:
            self._error = StoppedError("ended before it was made")
            raise
        finally:
            self._made.set()

    def wait(self) -> None:
        """Waits until it is made; raises what the function raised."""
        while not self._made.wait(LOOK_EVERY_S):
            check_stopped()
        if self._error is not None:
            raise self._error


def in_first_thread(function: Callable[[], None]) -> None:
    """Calls the function in the thread that started the others and waits for them, else in this one."""
    calls = _CALLS.get()
    if calls is None:
        function()
        return
    call = Call(function)
    calls.put(call)
    call.wait()


@contextmanager
def taking_calls(calls: SimpleQueue[Any]) -> Iterator[None]:
    """Calls of this thread go to that queue, unless they go to one of a thread further up."""
    further_up = _CALLS.get()
    token = _CALLS.set(calls if further_up is None else further_up)
    try:
        yield
    finally:
        _CALLS.reset(token)
