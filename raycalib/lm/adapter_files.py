"""Reads a saved LoRA adapter, as PEFT or the paper's code wrote it, into what PEFT loads.

The paper's code puts one PEFT model into another, so its trainer writes tensors under a doubled prefix, with or without
a copy under the plain one; it has a PEFT type of its own; and since it adds a padding token, PEFT may keep copies of
the base model's embeddings beside the adapter. Plain PEFT skips the first with a warning, and fails over the others.
"""

import json
import re
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from raycalib.errors import ModelError
from raycalib.lm.adapter_kinds import LORA_TYPES, PAPER_FIELDS, check_kind, check_ranks
from raycalib.lm.adapter_names import ADAPTER_CONFIG, ADAPTER_FILES, ADAPTER_WEIGHTS
from raycalib.lm.model_files import is_pointer
from raycalib.lm.weight_check import check_finite
from raycalib.storage import Location

PICKLED_WEIGHTS = "adapter_model.bin"
PREFIX = "base_model.model."
LORA = ".lora_"
PAPER_TASK_TYPE = "CALIBRATED_CAUSAL_LM"
QUERY_FORMAT = "roman_choice"


class SavedLora(NamedTuple):
    """``adapter_config.json`` and the tensors of ``adapter_model.safetensors`` in PEFT's own layout."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]


class AdapterBytes(NamedTuple):
    """The content of an adapter's two files."""

    config: bytes
    weights: bytes


def read_adapter(place: Location) -> AdapterBytes:
    """The files of the adapter that lies at a place, as they are.

    Raises:
        StorageError: one cannot be read.
        ModelError: one is a Git LFS pointer, or the weights are a pickle alone.
    """
    config = place.read_bytes(ADAPTER_CONFIG)
    if not place.exists(ADAPTER_WEIGHTS) and place.exists(PICKLED_WEIGHTS):
        raise ModelError(
            f"adapter: {place.uri} has its weights in {PICKLED_WEIGHTS}, a pickle, which can run code when it is "
            f"read; where you trust it, convert it once: safetensors.torch.save_file(torch.load({PICKLED_WEIGHTS!r}, "
            f"weights_only=True), {ADAPTER_WEIGHTS!r})"
        )
    content = AdapterBytes(config, place.read_bytes(ADAPTER_WEIGHTS))
    for name, part in zip(ADAPTER_FILES, content, strict=True):
        if is_pointer(part):
            raise ModelError(
                f"adapter: {name} of {place.uri} is a Git LFS pointer in place of the file; run `git lfs pull` "
                "there, or download the adapter with `hf download`"
            )
    return content


def parse_adapter(content: AdapterBytes, uri: str) -> SavedLora:
    """The adapter of two files, still with what PEFT may have kept of the base model beside it. Nothing is unpickled.

    Args:
        content: of the files.
        uri: where they lie, for messages.

    Raises:
        ModelError: they cannot be read, are no LoRA adapter's, or have weights that are not finite.
    """
    try:
        config, tensors = json.loads(content.config), safetensors.torch.load(content.weights)
    except (ValueError, safetensors.SafetensorError) as error:
        cause = str(error).strip().split("\n")[0]
        raise ModelError(f"adapter: {uri} cannot be read: {cause}") from error
    saved = SavedLora(_plain_config(config, uri), _undoubled(tensors, uri))
    check_ranks(saved.config, {name: tuple(tensor.shape) for name, tensor in saved.tensors.items()}, uri)
    check_finite(((key, tensor) for key, tensor in saved.tensors.items() if LORA in key), f"adapter: {uri} has")
    return saved


def read_lora(place: Location, base: nn.Module) -> SavedLora:
    """The adapter that lies at a place.

    Args:
        place: holds the adapter's two files.
        base: the model that it is for, adapted by others or not.

    Raises:
        ModelError: it cannot be read, is no LoRA adapter, or changes more of the model than LoRA does.
    """
    config, tensors = parse_adapter(read_adapter(place), place.uri)
    return SavedLora(config, _lora_alone(tensors, base, place.uri))


def _plain_config(config: Any, uri: str) -> dict[str, Any]:
    """The configuration without what only the paper's code knows."""
    peft_type = config.get("peft_type") if isinstance(config, dict) else None
    if peft_type not in LORA_TYPES:
        raise ModelError(
            f"adapter: {uri} is no LoRA adapter: peft_type is {peft_type!r} in {ADAPTER_CONFIG}; "
            f"allowed: {', '.join(LORA_TYPES)}"
        )
    check_kind(config, uri)
    query_format = config.get("query_format", QUERY_FORMAT)
    if query_format != QUERY_FORMAT:
        raise ModelError(
            f"adapter: {uri} was tuned on the query format {query_format!r}, raycalib asks {QUERY_FORMAT!r}"
        )
    task_type = config.get("task_type")
    plain = {name: value for name, value in config.items() if name not in PAPER_FIELDS}
    plain |= {"auto_mapping": None}  # a class of any library, by name, which PEFT's AutoPeftModel imports
    return plain | {"peft_type": "LORA", "task_type": "CAUSAL_LM" if task_type == PAPER_TASK_TYPE else task_type}


def _undoubled(tensors: dict[str, Tensor], uri: str) -> dict[str, Tensor]:
    """The tensors under plain prefixes, each once."""
    plain: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = re.sub(rf"^(?:{re.escape(PREFIX)})+", PREFIX, key)
        if name in plain and not (plain[name].dtype == tensor.dtype and torch.equal(plain[name], tensor)):
            raise ModelError(
                f"adapter: {uri} has two different tensors for {name}, one under the doubled prefix "
                f"{PREFIX}{PREFIX}; which one was meant cannot be told"
            )
        plain[name] = tensor
    return plain


def _lora_alone(tensors: dict[str, Tensor], base: nn.Module, uri: str) -> dict[str, Tensor]:
    """The tensors without copies of the base model's own."""
    own = {key.replace(".base_layer.", "."): tensor for key, tensor in base.state_dict().items()}
    others = [key for key in tensors if LORA not in key]
    changed = [key for key in others if not _is_copy(tensors[key], own.get(_base_name(key)))]
    if changed:
        raise ModelError(
            f"adapter: {uri} has {len(changed)} tensors that are neither LoRA's nor copies of the model's own, such as "
            f"{changed[0]}; it was made for another base model, or trained more than LoRA does"
        )
    return {key: tensor for key, tensor in tensors.items() if key not in others}


def _base_name(key: str) -> str:
    """A tensor's name in the model without adapters; PEFT saves embeddings that it adapts under another."""
    return key.removeprefix(PREFIX).replace(".base_layer.", ".")


def _is_copy(saved: Tensor, own: Tensor | None) -> bool:
    """Whether both are the same in the rows that both have, when one is rounded to the other's dtype.

    Embeddings may have rows for added tokens, which raycalib never reads.
    """
    if own is None or not saved.ndim == own.ndim > 0 or saved.shape[1:] != own.shape[1:]:
        return False
    n = min(len(saved), len(own))
    left, right = saved[:n].cpu(), own[:n].detach().cpu()
    return torch.equal(left, right.to(left.dtype)) or torch.equal(left.to(right.dtype), right)
