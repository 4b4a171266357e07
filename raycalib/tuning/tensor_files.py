"""Small safetensors files, with errors that say what is wrong with them."""

from collections.abc import Mapping
import json

import safetensors
import safetensors.torch
import torch

from raycalib.errors import ModelError
from raycalib.lm.model_files import LARGEST_POINTER, is_pointer
from raycalib.storage import Location

HEADER_SIZE = 8
"""Bytes at the start of a safetensors file: how long the JSON behind them is."""
LARGEST_HEADER = 100_000_000
"""The format's own bound."""


def write_tensors(place: Location, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes a file whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    place.write_bytes(name, safetensors.torch.save(plain))


def read_tensors(place: Location, name: str) -> dict[str, torch.Tensor]:
    """The file's tensors. Nothing is unpickled.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is no safetensors file.
    """
    content = place.read_bytes(name)
    _check_no_pointer(place, name, content)
    try:
        return dict(safetensors.torch.load(content))
    except (ValueError, safetensors.SafetensorError) as error:
        cause = str(error).strip().split("\n")[0]
        raise ModelError(f"{(place / name).uri} is no safetensors file: {cause}") from error


def tensor_names(place: Location, name: str) -> set[str]:
    """Names of a file's tensors, by its header alone; empty where it is no safetensors file.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is a Git LFS pointer.
    """
    start = place.read_bytes(name, LARGEST_POINTER)
    _check_no_pointer(place, name, start)
    size = int.from_bytes(start[:HEADER_SIZE], "little")
    if len(start) < HEADER_SIZE or size > LARGEST_HEADER:
        return set()
    try:
        header = json.loads(place.read_bytes(name, HEADER_SIZE + size)[HEADER_SIZE:])
    except ValueError:
        return set()
    return set(header) - {"__metadata__"} if isinstance(header, dict) else set()


def _check_no_pointer(place: Location, name: str, content: bytes) -> None:
    if is_pointer(content):
        raise ModelError(f"{(place / name).uri} is a Git LFS pointer in place of the file; run `git lfs pull` there")


def check_tensors(
    tensors: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]], uri: str, what: str
) -> None:
    """Checks that the tensors are these, of these shapes, floating and finite.

    Args:
        tensors: as read.
        shapes: expected shape by name.
        uri: of the file, for the message.
        what: the file should hold, for the message.

    Raises:
        ModelError: they are not, with the first three reasons.
    """
    problems = [f"{name} is missing" for name in shapes if name not in tensors]
    problems += [f"{name} is not expected" for name in tensors if name not in shapes]
    for name, tensor in tensors.items():
        if name not in shapes:
            continue
        if tuple(tensor.shape) != tuple(shapes[name]):
            problems.append(f"{name} has shape {tuple(tensor.shape)}, expected {tuple(shapes[name])}")
        elif not tensor.is_floating_point():
            problems.append(f"{name} is {tensor.dtype}, expected floating point")
        elif not bool(torch.isfinite(tensor).all()):
            problems.append(f"{name} has values that are not finite")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(f"{uri} does not hold {what}: {'; '.join(problems[:3])}{more}")
