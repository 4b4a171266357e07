"""Loads tokenizers and causal language models: safetensors only, no remote code, no added tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file, logging

from raycalib.errors import ModelError
from raycalib.lm.model_files import TOKENIZER_FILES, check_files, find_folder, has_tokenizer, read_settings
from raycalib.lm.names import DtypeName, ModelSource, WeightBits
from raycalib.lm.remote_code import refuse_code
from raycalib.lm.tokenizer_check import check_open_end
from raycalib.lm.weight_check import check_files_finite, check_keys, check_model_finite


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
        ModelError: it cannot be loaded, names code to be run, or appends a token to texts.
    """
    refuse_code(source)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.path,
            local_files_only=source.is_local,
            revision=source.revision or "main",
            trust_remote_code=False,
        )
    except Exception as error:  # the tokenizers package raises no narrower type for a damaged file
        raise ModelError(_no_tokenizer(source, error)) from error
    check_open_end(tokenizer, source)
    return tokenizer


def _no_tokenizer(source: ModelSource, error: Exception) -> str:
    folder = find_folder(source)
    if folder is not None and not has_tokenizer(folder):
        return (
            f"model: {source.described} has no tokenizer: there is none of {', '.join(TOKENIZER_FILES)}; put the "
            "model's own tokenizer files there"
        )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        read_settings(source, name)  # its own error where a file is no JSON
    return (
        f"model: the tokenizer of {source.described} cannot be loaded: {_first_line(error)}; download its files again, "
        "or convert it to tokenizer.json by save_pretrained where its own package is installed"
    )


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
        quantized = _load(source, number, **_quantized(bits, number, device))
        folder = find_folder(source)  # where the files lie by now
        check_files_finite((folder and check_files(source, folder)) or (), source)
        return quantized
    model = _load(source, number).to(device)
    check_model_finite(model, source)
    return model


def load_as_stored(source: ModelSource) -> PreTrainedModel:
    """The model in evaluation mode on the CPU, in its files' own dtype.

    Its weights are mapped from the files: processes of one machine share them, and they take no memory of their own.
    Whether they are finite is left to who reads them first.

    Raises:
        ModelError: it cannot be loaded.
    """
    return _load(source, "auto")


def load_empty(source: ModelSource) -> PreTrainedModel:
    """The model's modules with tensors on no device: of the files, names and shapes are read, and no weight is.

    Raises:
        ModelError: it cannot be built, or the files' tensors are not the model's.
    """
    return _load(source, "auto", device_map="meta")


def build_empty(source: ModelSource) -> PreTrainedModel | None:
    """The model's modules as its configuration alone says, with tensors on no device; no file of weights is needed.

    Returns:
        The model; None where its class can only be built with weights, so that who loads them sees what it is.

    Raises:
        ModelError: transformers does not know it, or its configuration is no model's.
    """
    refuse_code(source)
    try:
        with without_reports(), torch.device("meta"):
            config = AutoConfig.from_pretrained(
                source.path,
                local_files_only=source.is_local,
                revision=source.revision or "main",
                trust_remote_code=False,
            )
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"model: {source.described} cannot be loaded: {_first_line(error)}") from error
    except Exception:  # the constructor of any class of transformers, which may want values of its tensors
        return None
    return model.eval()


def _load(source: ModelSource, dtype: torch.dtype | Literal["auto"], **more: Any) -> PreTrainedModel:
    refuse_code(source)
    try:
        with without_reports():
            model, info = AutoModelForCausalLM.from_pretrained(
                source.path,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=source.is_local,
                revision=source.revision or "main",
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are an error below, with their names
                **more,
            )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise ModelError(f"model: {source.described} cannot be loaded: {_first_line(error)}") from error
    check_keys(model, info, source)
    loaded: PreTrainedModel = model.eval()
    return loaded


@contextmanager
def without_reports() -> Iterator[None]:
    """Within, transformers shows neither bars nor its table of keys, which are an error of ours in one line."""
    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


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
        raise ModelError(
            "model: a GPU is asked for (ray.gpus_per_worker), but torch sees none; install a CUDA build, "
            "or compute on the CPU by --device cpu"
        )
    return torch.device("cuda" if use_gpu else "cpu")


def pad_token_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """An existing token to pad with; padding is always masked, so which one does not matter."""
    for candidate in (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id):
        if candidate is not None:
            return int(candidate)
    return 0


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
