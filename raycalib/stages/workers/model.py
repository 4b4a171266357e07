"""What a worker with a model needs."""

from dataclasses import dataclass
import os

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.names import DtypeName, ModelSource
from raycalib.storage import Location


@dataclass(frozen=True, kw_only=True)
class ModelWorkerConfig:
    """What a worker with a model needs.

    Attributes:
        source: the model.
        dtype: of its weights.
        use_gpu: where it computes.
        max_batch_tokens: token budget of a batch, padding included.
        max_new_tokens: at most so many tokens are generated per answer.
        max_tokens: of any text, its answer included; None is the model's window.
        adapters: directories of adapters by prompt style.
    """

    source: ModelSource
    dtype: DtypeName
    use_gpu: bool
    max_batch_tokens: int
    max_new_tokens: int = 1
    max_tokens: int | None = None
    adapters: tuple[tuple[str, Location], ...] = ()


def use_given_threads() -> None:
    """Torch takes the CPUs that Ray gave this actor, so that actors on one machine do not slow each other."""
    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))


def load_for_worker(config: ModelWorkerConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and its tokenizer, on this worker's share of the machine."""
    use_given_threads()
    return load_causal_lm(config.source, config.dtype, config.use_gpu), load_tokenizer(config.source)
