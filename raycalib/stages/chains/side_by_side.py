"""Several chains of steps at once, in threads of the driver.

An error that is told to the user costs its own chain. Anything else, such as Ctrl-C or a fault of our own, ends all of
them: pools that are under way are closed, and no thread keeps the process from its end.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Event, Thread
import time
from typing import Any, NamedTuple, TypeVar, overload

from raycalib.errors import RaycalibError
from raycalib.stages.chains.first_thread import Call, taking_calls
from raycalib.stages.chains.stopping import check_stopped, ended_by
from raycalib.stages.lines.progress import say

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

LOOK_EVERY_S = 0.5
ENDS_WITHIN_S = 10.0
"""So long the threads may take to close what they have open, once the run is ended; then they are left behind."""


class Outcome(NamedTuple):
    """What one function returned or raised, by its place in the order."""

    place: int
    value: Any
    error: BaseException | None


def side_by_side(
    jobs: Mapping[str, Callable[[], T]], at_once: int = 0
) -> tuple[dict[str, T], dict[str, RaycalibError]]:
    """Runs the functions in their order; what each returned, and what was wrong with those that could not be done.

    Args:
        jobs: by name.
        at_once: at most so many of them; 0 is all. Where it is one, they run in the thread that calls.

    Raises:
        BaseException: the first that is no RaycalibError; the others are ended before it is raised.
    """
    names, functions = list(jobs), list(jobs.values())
    alone = at_once == 1 or len(jobs) == 1
    outcomes = _in_turn(functions) if alone else _in_threads(functions, at_once or len(functions))
    done = {names[outcome.place]: outcome.value for outcome in outcomes if outcome.error is None}
    failed = {names[of.place]: of.error for of in outcomes if isinstance(of.error, RaycalibError)}
    return done, failed


@overload
def together(first: Callable[[], A], second: Callable[[], B], /) -> tuple[A, B]: ...
@overload
def together(first: Callable[[], A], second: Callable[[], B], third: Callable[[], C], /) -> tuple[A, B, C]: ...
def together(*functions: Callable[[], Any]) -> tuple[Any, ...]:
    """Runs a few functions at once; what each returned.

    Raises:
        RaycalibError: the first of those that there were, once the others are done; the rest of them is said.
        BaseException: any other error, at once.
    """
    outcomes = _in_threads(functions, len(functions))
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    for error in errors[1:]:
        say(f"  {error}")
    if errors:
        raise errors[0]
    return tuple(outcome.value for outcome in outcomes)


def _in_turn(functions: Sequence[Callable[[], Any]]) -> list[Outcome]:
    """What came of each, one after the other in this thread."""
    outcomes = []
    for index, function in enumerate(functions):
        try:
            outcomes.append(Outcome(index, function(), None))
        except RaycalibError as error:
            outcomes.append(Outcome(index, None, error))
    return outcomes


def _in_threads(functions: Sequence[Callable[[], Any]], at_once: int) -> list[Outcome]:
    """What came of each, in order; errors that are no RaycalibError are raised once the threads are ended.

    The threads are daemons: the interpreter waits for no other kind at its end, where a pool may hold one for long.
    """
    waiting, found = deque(enumerate(functions)), SimpleQueue[Outcome | Call]()
    ended = Event()
    threads, outcomes = list[Thread](), list[Outcome]()
    try:
        for _ in range(min(at_once, len(functions))):
            threads.append(_thread(waiting, found, ended))
            threads[-1].start()
        while len(outcomes) < len(functions):
            came = _next(found)
            if isinstance(came, Call):
                came.make()
            elif came is not None:
                outcomes.append(came)
                if came.error is not None and not isinstance(came.error, RaycalibError):
                    raise came.error
    except BaseException:
        _end(threads, ended)
        raise
    return sorted(outcomes, key=lambda outcome: outcome.place)


def _next(found: SimpleQueue[Outcome | Call]) -> Outcome | Call | None:
    """What came of the threads; None after a while, in which this thread may have been ended itself."""
    check_stopped()
    try:
        return found.get(timeout=LOOK_EVERY_S)
    except Empty:
        return None


def _thread(waiting: deque[tuple[int, Callable[[], Any]]], found: SimpleQueue[Outcome | Call], ended: Event) -> Thread:
    """A thread that takes what waits, one after the other, until nothing does or all are ended."""

    def work() -> None:
        with ended_by(ended), taking_calls(found):
            while not ended.is_set():
                try:
                    index, function = waiting.popleft()
                except IndexError:
                    return
                try:
                    check_stopped()
                    outcome = Outcome(index, function(), None)
                except BaseException as error:  # the thread that waits decides what becomes of it
                    outcome = Outcome(index, None, error)
                found.put(outcome)
                if outcome.error is not None and not isinstance(outcome.error, RaycalibError):
                    ended.set()  # at once, or this thread would begin with the next

    return Thread(target=copy_context().run, args=(work,), daemon=True)


def _end(threads: Sequence[Thread], ended: Event) -> None:
    """Has the threads close what they have open, and waits for that a little."""
    ended.set()
    deadline = time.monotonic() + ENDS_WITHIN_S
    for thread in threads:
        if thread.ident is not None:  # else the run was ended before it was started
            thread.join(max(0.0, deadline - time.monotonic()))
