"""Saved probes: safetensors for the weights, JSON for how they were chosen; the paper's heads load too."""

import torch

from raycalib.errors import ModelError
from raycalib.storage import Location
from raycalib.tuning.probe import Probe
from raycalib.tuning.probe_fit import ProbeFit
from raycalib.tuning.tensor_files import check_tensors, read_tensors, tensor_names, write_tensors

PROBE_TENSORS, PROBE_RECORD = "probe.safetensors", "probe.json"
LAYERS = "layers."
FIRST = "0.weight"


def save_probe(place: Location, fit: ProbeFit) -> None:
    """Writes ``probe.safetensors`` (weights, mean and scale of the features), then ``probe.json`` (step and history).

    Raises:
        StorageError: a file cannot be written.
    """
    write_tensors(place, PROBE_TENSORS, fit.probe.state_dict())
    place.write_json(PROBE_RECORD, {"best_step": fit.best_step, "history": [list(pair) for pair in fit.history]})


def save_head(place: Location, layers: dict[str, torch.Tensor]) -> None:
    """Writes a classifier that was tuned through the model as a probe that takes features as they are.

    Args:
        place: directory to write to.
        layers: its weights under a probe's names.

    Raises:
        StorageError: the file cannot be written.
    """
    probe = Probe(layers[LAYERS + FIRST].shape[1])
    probe.load_state_dict(probe.state_dict() | layers)
    write_tensors(place, PROBE_TENSORS, probe.state_dict())


def load_probe(place: Location, name: str = PROBE_TENSORS, n_features: int | None = None) -> Probe:
    """A saved probe, or a head of the paper's code.

    Args:
        place: holds the file.
        name: of the file. The paper's heads have the layers alone (``0.weight``, ``0.bias``, ``2.weight``, …) and read
            features as they are: they get mean 0 and scale 1.
        n_features: of the model whose states it is to read; None takes any.

    Raises:
        StorageError: the file cannot be read.
        ModelError: it is no safetensors file or holds no such probe, with what does not fit, or
            one for states of another width.
    """
    uri, tensors = (place / name).uri, read_tensors(place, name)
    is_head = FIRST in tensors
    first = tensors.get(FIRST if is_head else LAYERS + FIRST)
    if first is None or first.ndim != 2:
        raise ModelError(f"{uri} does not hold a probe: no matrix {LAYERS}{FIRST} or {FIRST}; it has {_names(tensors)}")
    with torch.random.fork_rng(devices=[]):
        probe = Probe(first.shape[1]).eval()
    expected = (probe.layers if is_head else probe).state_dict()
    what = f"a {'head' if is_head else 'probe'} of {first.shape[1]} features"
    check_tensors(tensors, {key: tuple(value.shape) for key, value in expected.items()}, uri, what)
    if not is_head and not bool((tensors["scale"] > 0).all()):
        raise ModelError(f"{uri} does not hold {what}: scale has values that are not above 0")
    if n_features is not None and first.shape[1] != n_features:
        raise ModelError(
            f"{uri} holds {what}, the model's states have {n_features}; give the model and layer that it was fitted on"
        )
    (probe.layers if is_head else probe).load_state_dict(tensors)
    return probe


def probe_names(place: Location) -> list[str]:
    """Names of the files at a place that hold a probe or a head of the paper's code, by name or header.

    Raises:
        StorageError: one cannot be read.
        ModelError: one is a Git LFS pointer.
    """
    files = [name for name in place.names() if name.endswith(".safetensors")]
    return [name for name in files if name == PROBE_TENSORS or {FIRST, LAYERS + FIRST} & tensor_names(place, name)]


def _names(tensors: dict[str, torch.Tensor]) -> str:
    shown = ", ".join(sorted(tensors)[:4])
    return f"{shown}, …" if len(tensors) > 4 else shown or "no tensors"
