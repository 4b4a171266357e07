"""Temperatures and classifiers as the paper's code saved them: state dicts, as pickles of tensors or as safetensors.

Pickles are read by ``torch.load(weights_only=True)`` alone, which makes tensors and runs no code, and only to be
written again as safetensors.
"""

import io
import pickle
import warnings
import zipfile

import torch
from torch import Tensor

from raycalib.errors import ModelError
from raycalib.storage import Location
from raycalib.tuning.tensor_files import read_tensors

TEMPERATURES = (
    "temperature_model.safetensors",
    "temperature.safetensors",
    "temperature_model.pt",
    "query_temperature_head.bin",
)
CLASSIFIERS = ("classifier_model.safetensors", "classifier_model.bin", "classifier_model.pt")
LARGEST_PICKLE = 64 * 2**20
"""Bytes; a temperature is one number, and a classifier of 8,192 features some 9 MB."""
LOG_TEMPERATURE = "log_temperature"


def find_file(place: Location, names: tuple[str, ...]) -> str:
    """The first of these files that lies there; empty where none does."""
    there = set(place.names())
    return next((name for name in names if name in there), "")


def read_log_temperature(place: Location, name: str) -> float:
    """The logarithm of a saved temperature.

    Raises:
        StorageError: the file cannot be read.
        ModelError: it holds no temperature.
    """
    tensors = read_state(place, name)
    found = [tensor for key, tensor in tensors.items() if key.rpartition(".")[2] == LOG_TEMPERATURE]
    if len(found) != 1 or found[0].numel() != 1 or not found[0].is_floating_point():
        raise ModelError(
            f"temperature: {(place / name).uri} holds no single number {LOG_TEMPERATURE}; it has {_names(tensors)}"
        )
    value = found[0].double().item()
    if value != value or abs(value) == float("inf"):
        raise ModelError(f"temperature: {(place / name).uri} holds {value}, which is no number")
    return value


def read_classifier(place: Location, name: str) -> dict[str, Tensor]:
    """The layers of a saved classifier, as ``0.weight``, ``0.bias``, ``2.weight``, …, without Sequentials around them.

    Raises:
        StorageError: the file cannot be read.
        ModelError: it holds none.
    """
    tensors = read_state(place, name)
    while tensors and "0.weight" not in tensors and all(key.startswith("0.") for key in tensors):
        tensors = {key.removeprefix("0."): tensor for key, tensor in tensors.items()}
    if "0.weight" not in tensors:
        raise ModelError(f"probe: {(place / name).uri} holds no classifier: no matrix 0.weight in {_names(tensors)}")
    return {key: tensor.float() for key, tensor in tensors.items()}


def read_state(place: Location, name: str) -> dict[str, Tensor]:
    """A file's tensors by name.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is neither safetensors nor a pickle of tensors alone.
    """
    if name.endswith(".safetensors"):
        return read_tensors(place, name)
    content, uri = place.read_bytes(name, LARGEST_PICKLE + 1), (place / name).uri
    if len(content) > LARGEST_PICKLE:
        raise ModelError(f"convert: {uri} is larger than {LARGEST_PICKLE:,} bytes, which neither of these files is")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickles that others than torch wrote
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        cause = str(error).strip().split("\n")[0][:160]
        raise ModelError(f"convert: {uri} is no pickle of tensors alone, and is not read: {cause}") from error
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise ModelError(f"convert: {uri} holds no tensors by name, but {type(found).__name__}")
    return found


def _names(tensors: dict[str, Tensor]) -> str:
    return ", ".join(sorted(tensors)[:4]) or "nothing"
