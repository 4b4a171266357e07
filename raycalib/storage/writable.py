"""Whether a run can write where it is told to, asked before anything is."""

import os
from pathlib import Path

from raycalib.errors import StorageError
from raycalib.storage.location import Location


def check_can_write(out: Location) -> None:
    """Raises StorageError if the place cannot be written; leaves nothing there."""
    if not out.is_local:
        out.check_writable()
        return
    place: Path = out.local_path
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise StorageError(f"out: {out.uri} cannot be written: {place} is a file; choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StorageError(f"out: {out.uri} cannot be written: no permission in {place}; choose another --out")
