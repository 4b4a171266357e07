"""Reading ahead: what many small requests wait for, waited for at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_ONCE = 8


def in_order(read: Callable[[Item], Result], items: Iterable[Item], at_once: int = AT_ONCE) -> Iterator[Result]:
    """What is read of each item, in order; so many are read at once, and no more are held.

    Args:
        read: called in threads where more than one is read at once.
        items: read as they are wanted.
        at_once: 1 reads in the caller's thread.
    """
    if at_once == 1:
        yield from map(read, items)
        return
    waiting = deque[Future[Result]]()
    with ThreadPoolExecutor(at_once, thread_name_prefix="reading") as pool:
        try:
            for item in items:
                if len(waiting) == at_once:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(read, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
