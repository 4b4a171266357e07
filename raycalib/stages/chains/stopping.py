"""Whether what a thread works for has been ended by another thread, and the thread is to end as well."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event

_ENDED: ContextVar[tuple[Event, ...]] = ContextVar("ended", default=())


class StoppedError(Exception):
    """What this thread worked for was ended elsewhere; the cause is raised there."""


def stop_events() -> tuple[Event, ...]:
    """Those that end this thread, to be watched from another one, such as Ray Data's."""
    return _ENDED.get()


def check_stopped(events: tuple[Event, ...] | None = None) -> None:
    """Raises StoppedError where one of these events, else of this thread's, is set."""
    if any(event.is_set() for event in (stop_events() if events is None else events)):
        raise StoppedError("ended, since another part of the run was")


@contextmanager
def ended_by(event: Event) -> Iterator[None]:
    """This thread, and the threads that it starts with its context, also end where the event is set."""
    token = _ENDED.set((*stop_events(), event))
    try:
        yield
    finally:
        _ENDED.reset(token)
