"""Weights that are not what the model needs are an error that names them; the loader would draw them at random."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from raycalib.errors import ModelError
from raycalib.lm.names import ModelSource

SHOWN = 3
REDUCED = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""Types whose least and largest value torch can tell; those of 8 bits and less hold no infinity that it could."""


def check_keys(model: PreTrainedModel, info: Mapping[str, Any], source: ModelSource) -> None:
    """Checks that the loader found each of the model's tensors in the files, of its shape, and no others there.

    What an architecture ties or declares that it can do without is no fault, nor are buffers, which are computed.

    Args:
        model: as loaded.
        info: of transformers, asked for by ``output_loading_info``.
        source: of the model.

    Raises:
        ModelError: with names, shapes and the remedy.
    """
    buffers = {name for name, _ in model.named_buffers()}
    missing = sorted(info["missing_keys"])
    unexpected = sorted(name for name in info["unexpected_keys"] if name not in buffers)
    mismatched = sorted(info["mismatched_keys"])
    if not (missing or unexpected or mismatched):
        return
    parts = []
    if missing:
        parts.append(f"{_tensors(missing)} of {type(model).__name__} not in the files: {some(missing)}")
    if unexpected:
        parts.append(f"{_tensors(unexpected)} in the files without a place in the model: {some(unexpected)}")
    if mismatched:
        shapes = [f"{name} {tuple(saved)} in the files, {tuple(own)} in the model" for name, saved, own in mismatched]
        parts.append(f"{_tensors(mismatched)} of another shape than config.json says: {some(shapes, '; ')}")
    raise ModelError(
        f"model: the weights of {source.described} are not those of its config.json: {'; '.join(parts)}; "
        f"{_remedy(missing, unexpected, mismatched)}"
    )


def _remedy(missing: list[str], unexpected: list[str], mismatched: list[Any]) -> str:
    if missing and unexpected:
        return (
            "tensors under other names were saved from a wrapped model or for another architecture: save the model "
            "itself by save_pretrained, or rename them"
        )
    if mismatched:
        return "put the config.json there that belongs to the weights, or download both again"
    return "download the model again, or save it whole by save_pretrained"


def check_finite(tensors: Iterable[tuple[str, Tensor]], where: str) -> None:
    """Checks that weights hold neither NaN nor infinity.

    Each is read once, by its least and largest value, without a copy: 0.9 s for 1e9 numbers in bfloat16 on two cores,
    7 s for a model of 7B, which is less than reading it from a disk takes, and a few ms on a GPU.

    Args:
        tensors: with their names; those on no device and those of integers are left out.
        where: they come from, with what they are.

    Raises:
        ModelError: with the first names.
    """
    bad = [name for name, tensor in tensors if not is_finite(tensor)]
    if bad:
        raise ModelError(
            f"{where}: {_tensors(bad)} with values that are NaN or infinite: {some(bad)}; download it again, or take "
            "an earlier checkpoint of its training"
        )


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor of floating point holds neither NaN nor infinity; true of integers and of none on a device."""
    if tensor.dtype not in REDUCED or tensor.is_meta or not tensor.numel():
        return True
    least, largest = torch.aminmax(tensor.detach())
    return bool(torch.isfinite(least) & torch.isfinite(largest))


def check_model_finite(model: nn.Module, source: ModelSource) -> None:
    """Checks a model's weights in memory.

    Raises:
        ModelError: some are not finite.
    """
    kept = set(model.state_dict())  # buffers that are computed may hold minus infinity, as masks do
    named = (*model.named_parameters(), *((name, buffer) for name, buffer in model.named_buffers() if name in kept))
    check_finite(named, f"model: {source.described} has")


def check_files_finite(files: Collection[Path], source: ModelSource) -> None:
    """Checks the weights as the files have them, for models that keep them in another form; each is read once more.

    Raises:
        ModelError: some are not finite.
    """
    for file in files:
        with safetensors.safe_open(file, framework="pt") as content:
            tensors = ((name, content.get_tensor(name)) for name in content.keys())  # noqa: SIM118 - it is no mapping
            check_finite(tensors, f"model: {file.name} of {source.described} has")


def some(names: Collection[str], between: str = ", ") -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return between.join(list(names)[:SHOWN]) + more


def _tensors(names: Collection[Any]) -> str:
    return f"{len(names)} tensor{'' if len(names) == 1 else 's'}"
