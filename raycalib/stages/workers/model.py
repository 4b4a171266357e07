"""What a worker with a model needs."""

from dataclasses import dataclass, field
import os

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.lm.engines import Engine
from raycalib.lm.engines.settings import EngineSettings
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.names import DtypeName, ModelSource
from raycalib.lm.tokenizer_check import check_rows
from raycalib.sources.parts import WITHOUT_HEADER, QueryHeader
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
        adapters: directories of adapters, by the names of the tasks that use them.
        heads: directories of classifiers that belong to adapters, by the same names; none where the query is asked.
        query_header: whether the query of a row shows the few-shot examples that the row was answered with.
        engine: what generates answers.
        gpus: of the worker, fractions allowed.
    """

    source: ModelSource
    dtype: DtypeName
    use_gpu: bool
    max_batch_tokens: int
    max_new_tokens: int = 1
    max_tokens: int | None = None
    adapters: tuple[tuple[str, Location], ...] = ()
    heads: tuple[tuple[str, Location, str], ...] = ()
    query_header: QueryHeader = WITHOUT_HEADER
    engine: EngineSettings = field(default_factory=EngineSettings)
    gpus: float = 0.0


def use_given_threads() -> None:
    """Torch takes the CPUs that Ray gave this actor, so that actors on one machine do not slow each other."""
    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))


def load_for_worker(config: ModelWorkerConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and its tokenizer, on this worker's share of the machine.

    A worker with a fraction of a GPU keeps to that fraction of its memory: torch's cache would else grow until the
    workers beside it run out.
    """
    use_given_threads()
    if config.use_gpu and 0 < config.gpus < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(config.gpus)
    model, tokenizer = load_causal_lm(config.source, config.dtype, config.use_gpu), load_tokenizer(config.source)
    check_rows(tokenizer, model, config.source)
    return model, tokenizer


def load_engine(config: ModelWorkerConfig) -> Engine:
    """What generates answers; its weights are loaded here, once per worker.

    Raises:
        ModelError: it cannot be loaded, or its package is not installed.
    """
    source, settings = config.source, config.engine
    if settings.name == "openai":
        from raycalib.lm.engines.openai_engine import OpenAiEngine

        return OpenAiEngine(settings, source.path, config.max_new_tokens)
    if settings.name == "vllm":
        from raycalib.lm.engines.vllm_engine import VllmEngine

        return VllmEngine(
            source, config.dtype, config.max_new_tokens, config.max_tokens, config.gpus, settings.gpu_memory_share
        )
    from raycalib.lm.engines.transformers_engine import GreedyGenerator

    return GreedyGenerator(*load_for_worker(config), config.max_new_tokens, config.max_batch_tokens, config.max_tokens)
