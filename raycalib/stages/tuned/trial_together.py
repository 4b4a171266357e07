"""What a trial of several workers does: it waits for a run of Ray Train that tunes its family of jobs."""

from collections.abc import Sequence
from typing import Any

from ray import tune as ray_tune

from raycalib.stages.lines.worker_streams import clean_errors, clean_streams
from raycalib.stages.output import StageError
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned.families import family_of
from raycalib.stages.tuned.train_run import NoRoomError, train_together
from raycalib.stages.tuned.trial_files import FAILURE
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.trial import FAILED
from raycalib.stages.workers.tuning import is_settled, leave_failure
from raycalib.storage import Location


def tune_together(
    config: dict[str, Any],
    jobs: Sequence[TuneJob],
    n_workers: int,
    out: Location,
    settings: RaySettings,
    where: str,
    run: str,
) -> None:
    """Tunes the family of the job whose number the configuration has, without what an attempt of this run has settled.

    A fault that would come again stands in the job's place. A run whose controller ended is begun again by Tune.

    Args:
        config: of the trial.
        jobs: of all trials.
        n_workers: that tune a job together.
        out: the run's directory.
        settings: of the cluster.
        where: what the workers print is to be found.
        run: names the run of Tune.

    Raises:
        StageError: the run of Ray Train ended without a word of the jobs' own.
    """
    clean_streams()
    with clean_errors():
        missing = [job for job in family_of(jobs, config["job"]) if not is_settled(job, run)]
        if not missing:
            return
        try:
            train_together(missing, n_workers, out, settings, where=where, run=run)
        except StageError as error:
            unsettled = [job for job in missing if not is_settled(job, run)]
            if unsettled and not isinstance(error, NoRoomError):
                raise
            for job in unsettled:
                leave_failure(job, run, error)
        for job in missing:
            if job.place.exists(FAILURE):
                ray_tune.report({FAILED: job.key})
