"""Which commands tune what in a run's directory, so that no two are at the same trials at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
import os
import socket
from threading import Event, Thread
import time
from typing import Any
from uuid import uuid4

from raycalib.errors import ConfigError, StorageError
from raycalib.stages.lines.progress import say
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.storage import Location

FOLDER = "tuning_now"
"""Below the run's directory: a file for each command that tunes, with its trials and its last sign of life."""

BEAT_S = 15.0
SILENT_S = 45.0
"""A command from which nothing has come for so long is gone, unless its machine can tell at once."""


@contextmanager
def sole_driver(jobs: Sequence[TuneJob], out: Location) -> Iterator[None]:
    """Within it, this command is the one that tunes these jobs.

    Where another one of the same jobs has left its file, it is waited for a sign of life of it: it was killed if there
    is none.

    Raises:
        ConfigError: another command is at work on one of the jobs.
        StorageError: the directory cannot be read or written.
    """
    place, name = out / FOLDER, f"{uuid4().hex}.json"
    _wait_for_signs(place, {job.key: job.title for job in jobs})
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "keys": [job.key for job in jobs]}
    place.write_json(name, mine | {"beat": 0})
    over = Event()

    def beat() -> None:
        number = 0
        while not over.wait(BEAT_S):
            number += 1
            with suppress(StorageError):
                place.write_json(name, mine | {"beat": number})

    beating = Thread(target=beat, daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()
        with suppress(StorageError):
            (place / name).remove()
        if place.is_local:
            with suppress(OSError):  # others are at work beside
                place.local_path.rmdir()


def _wait_for_signs(place: Location, titles: dict[str, str]) -> None:
    """Returns once all other commands of these jobs are gone; raises ConfigError where one of them lives."""
    names = [name for name in place.names() if not name.startswith(".")]  # else it is being written
    others = {name: found for name in names if (found := _read(place, name))}
    waited = {name: found for name, found in others.items() if not titles.keys().isdisjoint(found["keys"])}
    gone = {name for name, found in waited.items() if _has_ended(found)}
    until = time.monotonic() + SILENT_S
    if gone != waited.keys():
        say(f"  another command has begun to tune this and may live: listening for it, {SILENT_S:g} s at most")
    while gone != waited.keys() and time.monotonic() < until:
        time.sleep(min(1.0, BEAT_S))
        for name in waited.keys() - gone:
            found = _read(place, name)
            if found is None:
                gone.add(name)
            elif found["beat"] != waited[name]["beat"]:
                title = titles[next(key for key in found["keys"] if key in titles)]
                raise ConfigError(
                    f"out: another command (process {found['pid']} on {found['host']}) is tuning {title} there; wait "
                    "until it has ended, or end it, and give the same command again"
                )
    for name in waited:
        with suppress(StorageError):
            (place / name).remove()


def _read(place: Location, name: str) -> dict[str, Any] | None:
    """What a command has left; None where it has just ended."""
    try:
        return place.read_json(name)
    except StorageError:
        if place.exists(name):
            raise
        return None


def _has_ended(found: dict[str, Any]) -> bool:
    """Whether a command is known to be gone: its process was on this machine and is not there."""
    if found["host"] != socket.gethostname():
        return False
    if found["pid"] == os.getpid():  # of a container that was started again
        return True
    try:
        os.kill(int(found["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is another user's
        pass
    return False
