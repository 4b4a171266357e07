"""Whether a run can write where it is told to, asked before anything is."""

import os
from pathlib import Path

from raycalib.errors import ConfigError, StorageError
from raycalib.storage.location import Location

OF_A_JOB = ("runtime_resources", "working_dir_files")
"""Directories in the path of Ray's copy of what a job was submitted with, which Ray removes after the job."""


def check_is_kept(out: Location) -> None:
    """Raises ConfigError where the place goes with the job that writes it: in Ray's copy of a submitted directory."""
    if not out.is_local or not set(OF_A_JOB) <= set(out.local_path.parts):
        return
    raise ConfigError(
        f"out: {out.uri} lies in Ray's copy of the submitted directory, which is removed after the job; name a place "
        "that all nodes see: --out /shared/runs/demo, s3://… or gs://…"
    )


def check_can_write(out: Location) -> None:
    """Leaves nothing there.

    Raises:
        ConfigError: what is written would be removed after the job.
        StorageError: the place cannot be written.
    """
    check_is_kept(out)
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
