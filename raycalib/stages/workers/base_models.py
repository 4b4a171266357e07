"""The frozen model that is tuned, and keeping it for the next job of a process."""

import gc

import torch
from transformers import PreTrainedModel

from raycalib.lm.loading import load_as_stored, load_causal_lm
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.tuning.deepspeed_engine import splits_weights
from raycalib.tuning.world import World


def base_model(job: TuneJob, world: World) -> PreTrainedModel:
    """The model that is tuned, freshly loaded."""
    if splits_weights(job.settings, world):  # mapped from the files: the whole may not fit on a GPU, nor in memory
        return load_as_stored(job.model)
    return load_causal_lm(job.model, job.dtype, world.device.type == "cuda", job.settings.base_bits)


def free_memory(world: World) -> None:
    """Of the combo before: DeepSpeed's hooks tie engine and model in a cycle."""
    gc.collect()
    if world.device.type == "cuda":
        torch.cuda.empty_cache()


class BaseModels:
    """The frozen model that a process tuned on last, for the next job on the same; there is one at most."""

    def __init__(self) -> None:
        self._kept: tuple[object, PreTrainedModel] | None = None

    def take(self, job: TuneJob, world: World) -> PreTrainedModel:
        """The job's base model, which is no longer kept: a job that fails leaves it as nobody knows."""
        kept, self._kept = self._kept, None
        if kept is not None and kept[0] == _what_is_loaded(job):
            return kept[1]
        del kept  # its memory, before another is loaded
        free_memory(world)
        return base_model(job, world)

    def keep(self, job: TuneJob, model: PreTrainedModel) -> None:
        """Keeps what a finished job was tuned on, unless it was changed for good."""
        if not job.settings.gradient_checkpointing:
            self._kept = _what_is_loaded(job), model


def _what_is_loaded(job: TuneJob) -> tuple[object, ...]:
    return job.model, job.model_key
