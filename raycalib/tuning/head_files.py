"""A classifier's weights as files: the same as a probe's, standardization included."""

import safetensors
import safetensors.torch
from torch import Tensor

from raycalib.errors import ModelError
from raycalib.storage import Location
from raycalib.tuning.probe import Probe

HEAD_NAME = "head.safetensors"


def save_head(place: Location, layers: dict[str, Tensor]) -> None:
    """Writes a classifier whose features are taken as they are.

    Args:
        place: directory to write to.
        layers: its weights under the names of ``Probe``.

    Raises:
        StorageError: it cannot be written.
    """
    probe = Probe(next(iter(layers.values())).shape[1])
    probe.load_state_dict(probe.state_dict() | layers)
    place.write_bytes(HEAD_NAME, safetensors.torch.save(probe.state_dict()))


def load_head(place: Location) -> Probe:
    """The classifier in evaluation mode.

    Raises:
        ModelError: the file is not one of a classifier.
        StorageError: it cannot be read.
    """
    content = place.read_bytes(HEAD_NAME)
    try:
        tensors = safetensors.torch.load(content)
        probe = Probe(tensors["mean"].shape[0])
        probe.load_state_dict(tensors)
    except (IndexError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        cause = str(error).strip().splitlines()[0]
        raise ModelError(f"{(place / HEAD_NAME).uri} does not hold a classifier: {cause}; tune it again") from error
    return probe.eval()
