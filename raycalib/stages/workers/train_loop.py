"""What every worker of a run of Ray Train does: all jobs in turn, together with the others."""

from functools import partial
import os
from typing import Any

import ray.train

from raycalib.errors import LossNotFiniteError, RaycalibError, StoppedError, StorageError
from raycalib.lm.engines.memory import is_out_of_memory
from raycalib.lm.loading import chosen_device
from raycalib.stages.lines.worker_streams import clean_errors, clean_streams
from raycalib.stages.tuned.trial_files import FAILURE
from raycalib.stages.workers.base_models import free_memory
from raycalib.stages.workers.model import use_given_threads
from raycalib.stages.workers.tuning import is_settled, leave_failure, tune
from raycalib.tuning.world import current_world


def train_loop(config: dict[str, Any]) -> None:
    """Tunes the jobs in order, skipping those another attempt finished.

    A loss that is not finite, which all workers see alike and would see again, is left in the job's place and not
    raised: Ray would start the workers anew for it, and the other jobs would wait. Other faults that would come again
    are left there too, and raised, since the other workers may wait for this one: those that are started anew pass the
    job over.
    """
    clean_streams()
    with clean_errors():
        _train(config)


def _train(config: dict[str, Any]) -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    use_given_threads()
    world = current_world(chosen_device(config["use_gpu"]))
    for job in config["jobs"]:
        if world.from_first(partial(_too_many_failed, config)):
            return
        if not world.from_first(partial(is_settled, job, config["run"])):
            try:
                tune(job, world, checkpoint_now=preemption_notice)
            except StoppedError:  # all workers at once, and the first has left it in the job's place
                pass
            except StorageError:  # a store that did not answer may do so when Ray starts the workers anew
                raise
            except (RaycalibError, RuntimeError) as error:
                if not isinstance(error, RaycalibError) and not is_out_of_memory(error):
                    raise
                if world.is_first or not isinstance(error, LossNotFiniteError):
                    leave_failure(job, config["run"], error)
                if not isinstance(error, LossNotFiniteError):
                    raise
            free_memory(world)
        world.barrier()


def _too_many_failed(config: dict[str, Any]) -> bool:
    """Whether more jobs have left their failure than may."""
    most = config.get("most_failed")
    return most is not None and sum(job.place.exists(FAILURE) for job in config["jobs"]) > most


def preemption_notice() -> bool:
    """Whether Ray knows that a node of the run will be taken away; it answers once all workers ask."""
    return ray.train.get_preemption_info() is not None
