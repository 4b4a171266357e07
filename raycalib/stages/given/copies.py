"""Copies of what is given in a run's own directory: all machines of a cluster read that, and nobody changes it."""

from dataclasses import replace

from raycalib.errors import ModelError
from raycalib.lm.adapter_files import read_adapter
from raycalib.lm.adapter_names import ADAPTER_FILES
from raycalib.stages.given.files import content_hash
from raycalib.stages.given.methods import GivenMethod
from raycalib.stages.given.places import ADAPTER_FOLDER, HEAD_FOLDER
from raycalib.storage import Location
from raycalib.tuning.probe_files import PROBE_TENSORS

GIVEN = "given"


def keep_method(method: GivenMethod, out: Location) -> GivenMethod:
    """The method with its files under ``out/given/<fingerprint>``, where workers of all machines find them.

    A place that is given may be on this machine alone, as the hub's cache is, and may change before the last worker has
    read it.

    Args:
        method: as given.
        out: the run's directory.

    Raises:
        ModelError: the files are no more what they were when they were given.
        StorageError: they cannot be read or copied.
    """
    place = out / GIVEN / method.fingerprint
    content = None if method.adapter is None else read_adapter(method.adapter)
    head = None if method.head is None else method.head.read_bytes(method.head_name)
    if content_hash(content, head) != method.fingerprint:
        raise ModelError(f"{method.name}: its files have changed since they were read ({method.origin}); run it again")
    adapter_place = head_place = None
    if content is not None:
        adapter_place = place / ADAPTER_FOLDER
        for name, part in zip(ADAPTER_FILES, content, strict=True):
            _write_once(adapter_place, name, part)
    if head is not None:
        head_place = place / HEAD_FOLDER
        _write_once(head_place, PROBE_TENSORS, head)
    return replace(
        method, adapter=adapter_place, head=head_place, head_name=PROBE_TENSORS if head_place is not None else ""
    )


def _write_once(place: Location, name: str, content: bytes) -> None:
    """Writes a file that is not there yet, or damaged."""
    if not place.exists(name) or place.read_bytes(name) != content:
        place.write_bytes(name, content)
