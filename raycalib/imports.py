"""Imports of large libraries, in less time."""

from collections.abc import Iterator
from contextlib import contextmanager
import gc


@contextmanager
def without_collections() -> Iterator[None]:
    """No garbage is collected meanwhile, and what was made is never looked through again.

    Importing torch, transformers and PEFT makes half a million objects that all stay. Python would look through them
    again and again while they are made and once more at its end, a third of the time to a first answer. For a process
    that is ours alone: what is garbage by now stays too.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
