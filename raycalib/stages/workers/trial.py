"""What a trial of Ray Tune does: a family's jobs in turn, alone in its process, which the next trial takes over."""

from collections.abc import Sequence
from functools import partial
import os
import time
from typing import Any

import ray
from ray import tune as ray_tune
from ray._private.state import state as ray_state

from raycalib.errors import RaycalibError, StoppedError, StorageError
from raycalib.lm.engines.memory import is_out_of_memory
from raycalib.lm.loading import chosen_device
from raycalib.stages.lines.progress import say
from raycalib.stages.lines.worker_streams import clean_errors, clean_streams
from raycalib.stages.output import finished
from raycalib.stages.tuned.families import family_of
from raycalib.stages.tuned.stops import why_stopped
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.base_models import BaseModels, free_memory
from raycalib.stages.workers.model import use_given_threads
from raycalib.stages.workers.tuning import is_settled, leave_failure, tune, with_half_the_rows
from raycalib.tuning.figures import TuningProgress, plain_figures
from raycalib.tuning.world import World

JOB = "job_key"
"""Under which a trial reports the key of the job whose evaluation it is."""

STOPPED = "stopped"
"""Under which a trial reports the key of a job that was stopped before its end."""

FAILED = "failed"
"""Under which a trial reports the key of a job that has left its failure in its place."""

STORE_PAUSE_S = 10.0
"""Before a trial whose store did not answer ends, to be started again."""

BASE_MODELS = BaseModels()
"""Of this process, which trials take over from one another."""


def tune_trial(config: dict[str, Any], jobs: Sequence[TuneJob], use_gpu: bool, run: str) -> None:
    """Tunes the family of the job whose number the configuration has, without what an attempt of this run has settled.

    A fault that would come again is left in the job's place and not raised: Tune tries a trial that raises again, and
    the others of the family are tuned all the same.
    """
    clean_streams()
    with clean_errors():
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        use_given_threads()
        for job in family_of(jobs, config["job"]):
            if not is_settled(job, run):
                # Asked for each: of a trial that was given up nothing is left to do where there is no device, too.
                _tune_or_leave_failure(job, World(device=chosen_device(use_gpu)), run)
            elif why_stopped(job.place) and not finished(job.place, job.key):
                ray_tune.report({STOPPED: job.key})


def _tune_or_leave_failure(job: TuneJob, world: World, run: str) -> None:
    try:
        _tune_within_memory(job, world)
    except StoppedError:  # why is left in its place
        ray_tune.report({STOPPED: job.key})
    except StorageError:  # a store that did not answer may do so soon, and is not asked again at once
        time.sleep(STORE_PAUSE_S)
        raise
    except (RaycalibError, RuntimeError) as error:
        if not isinstance(error, RaycalibError) and not is_out_of_memory(error):
            raise
        leave_failure(job, run, error)
        ray_tune.report({FAILED: job.key})
    finally:
        free_memory(world)


def _tune_within_memory(job: TuneJob, world: World) -> None:
    """Tunes; where memory runs out, once more with half as many rows in a pass."""
    try:
        tune(job, world, checkpoint_now=node_is_going, observe=partial(_report, job), base_models=BASE_MODELS)
        return
    except RuntimeError as error:
        halved = with_half_the_rows(job)
        if not is_out_of_memory(error) or halved is None:
            raise
    free_memory(world)  # outside the handler, whose traceback holds the model
    say(f"  tune {job.title}: out of memory; goes on with {halved.settings.micro_batch_size} rows in a pass")
    tune(halved, world, checkpoint_now=node_is_going, observe=partial(_report, job), base_models=BASE_MODELS)


def _report(job: TuneJob, figures: TuningProgress) -> None:
    """Lets Tune, its schedulers and loggers know of an evaluation of the job."""
    known = {name: value for name, value in plain_figures(figures).items() if value is not None}
    ray_tune.report({JOB: job.key} | known)


def node_is_going() -> bool:
    """Whether Ray knows that this process's node will be taken away."""
    return ray.get_runtime_context().get_node_id() in ray_state.get_draining_nodes()
