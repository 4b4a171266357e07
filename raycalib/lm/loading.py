"""Loads tokenizers and causal language models: safetensors only, no remote code, no added tokens."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file, logging

from raycalib.errors import ModelError
from raycalib.lm.names import DtypeName, ModelSource, WeightBits


def pin_revision(source: ModelSource) -> ModelSource:
    """The source with the commit that its hub id stands for now, so that all workers load the same weights.

    Asks the hub for ``config.json``, or without a network the local cache; a local directory needs no revision.

    Raises:
        ModelError: neither has it.
    """
    if source.is_local or source.revision:
        return source
    try:
        config = cached_file(source.path, "config.json")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model: {source.name!r} ({source.path}) is neither on the hub nor in the cache: {_first_line(error)} "
            "Log in with `hf auth login` where its licence asks for that, or give --model-root or a directory"
        ) from error
    return replace(source, revision=Path(config).parent.name)


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """The model's tokenizer, as it is: raycalib never adds tokens.

    Raises:
        ModelError: it cannot be loaded.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.path, local_files_only=source.is_local, revision=source.revision or "main"
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"model: the tokenizer of {source.name!r} cannot be loaded: {_first_line(error)}") from error
    return tokenizer


def load_causal_lm(
    source: ModelSource, dtype: DtypeName = "auto", use_gpu: bool = False, bits: WeightBits = 16
) -> PreTrainedModel:
    """The model in evaluation mode.

    Args:
        source: where it lies.
        dtype: ``auto`` is bfloat16 on a GPU and float32 on a CPU.
        use_gpu: on the process's GPU, else on the CPU.
        bits: of its linear layers' weights; 8 and 4 are bitsandbytes' (LLM.int8, arXiv 2208.07339; NF4 with double
            quantization, arXiv 2305.14314), and 16 leaves them as they are.

    Raises:
        ModelError: it cannot be loaded, or bitsandbytes is not installed.
    """
    device = chosen_device(use_gpu)
    number = chosen_dtype(dtype, device)
    if bits < 16:
        return _load(source, number, **_quantized(bits, number, device))
    return _load(source, number).to(device)


def load_as_stored(source: ModelSource) -> PreTrainedModel:
    """The model in evaluation mode on the CPU, in its files' own dtype.

    Its weights are mapped from the files: processes of one machine share them, and they take no memory of their own.

    Raises:
        ModelError: it cannot be loaded.
    """
    return _load(source, "auto")


def _load(source: ModelSource, dtype: torch.dtype | Literal["auto"], **more: Any) -> PreTrainedModel:
    logging.disable_progress_bar()
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            source.path,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=source.is_local,
            revision=source.revision or "main",
            **more,
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"model: {source.name!r} cannot be loaded: {_first_line(error)}") from error
    return model.eval()


def _quantized(bits: WeightBits, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """What transformers is told of a model whose weights are quantized while they are loaded."""
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            f"model: weights of {bits} bits need the package bitsandbytes: pip install 'raycalib[quant]' here and on "
            "the cluster, or use 16 bits"
        )
    config = BitsAndBytesConfig(
        load_in_8bit=bits == 8,
        load_in_4bit=bits == 4,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config, "device_map": {"": device}}


def chosen_dtype(name: DtypeName, device: torch.device) -> torch.dtype:
    """What a configured dtype is on a device."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def chosen_device(use_gpu: bool) -> torch.device:
    """The process's GPU or the CPU, as the run is configured: Ray does not hide GPUs from workers that asked for none.

    Raises:
        ModelError: a GPU is wanted and torch sees none.
    """
    if use_gpu and not torch.cuda.is_available():
        raise ModelError("model: a GPU is asked for (ray.gpus_per_worker), but torch sees none; install a CUDA build")
    return torch.device("cuda" if use_gpu else "cpu")


def pad_token_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """An existing token to pad with; padding is always masked, so which one does not matter."""
    for candidate in (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id):
        if candidate is not None:
            return int(candidate)
    return 0


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
