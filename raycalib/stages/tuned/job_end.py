"""What became of a job whose trial has gone on or ended, as its files say."""

from contextlib import suppress
from typing import Literal

from raycalib.errors import StorageError
from raycalib.stages.tuned.stops import why_stopped
from raycalib.stages.tuned.trial_files import FAILURE
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.storage.manifest import MANIFEST_NAME

JobEnd = Literal["finished", "stopped", "failed"]


def end_of(job: TuneJob) -> JobEnd:
    """How the job has ended; finished where the store does not say."""
    with suppress(StorageError):
        if job.place.exists(MANIFEST_NAME):
            return "finished"
        if why_stopped(job.place):
            return "stopped"
        return "failed" if job.place.exists(FAILURE) else "finished"
    return "finished"
