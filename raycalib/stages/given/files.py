"""Which files of a directory that is given make up an adapter or a probe, and whether they can be read."""

import hashlib
from typing import Literal, NamedTuple

from raycalib.errors import ModelError
from raycalib.evaluation.methods import LORA
from raycalib.hashing import stable_hash
from raycalib.lm.adapter_files import PICKLED_WEIGHTS, AdapterBytes, parse_adapter, read_adapter
from raycalib.lm.adapter_names import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from raycalib.stages.given.places import (
    ADAPTER_FOLDER,
    HEAD_FOLDER,
    PICKLES,
    GivenPlace,
    RunOrigin,
    nothing_there,
    parent_of,
    pickle_refused,
)
from raycalib.storage import Location
from raycalib.tuning.probe_files import PROBE_TENSORS, load_probe, probe_names

Kind = Literal["query", "head", "probe"]

PAPER_HEAD = "classifier_model.bin"
CONVERT_HEAD = "convert it once: safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'probe.safetensors')"
ADAPTER_PARTS = {ADAPTER_CONFIG, ADAPTER_WEIGHTS, PICKLED_WEIGHTS}
ADAPTER_WANTED = f"{ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}"
PROBE_WANTED = f"{PROBE_TENSORS}, or another .safetensors file with a probe or a head of the paper's code"


class GivenFiles(NamedTuple):
    """What was found: directories of the adapter and of the classifier, None where there is none of it.

    ``fingerprint`` is the hash of the files' content as it was read, ``base`` the model that the adapter names as its
    own; empty where it names none.
    """

    kind: Kind
    adapter: Location | None
    head: Location | None
    head_name: str
    fingerprint: str
    base: str = ""


def content_hash(adapter: AdapterBytes | None, head: bytes | None) -> str:
    """Hash of an adapter's two files and a classifier's, whatever they are called and wherever they lie."""
    return stable_hash("given", [None if part is None else _sha256(part) for part in (*(adapter or (None,) * 2), head)])


def read_given_adapter(given: GivenPlace, run: RunOrigin | None) -> GivenFiles:
    """The adapter of a directory, with the classifier that was tuned together with it, if there is one.

    Raises:
        ModelError: it cannot be read, is no LoRA adapter, or lacks its classifier.
    """
    place = _adapter_folder(given)
    content = read_adapter(place)
    base = str(parse_adapter(content, place.uri).config.get("base_model_name_or_path") or "")
    head, head_name = _head_of(given, place, run)
    if head is None:
        return GivenFiles("query", place, None, "", content_hash(content, None), base)
    load_probe(head, head_name)
    return GivenFiles("head", place, head, head_name, content_hash(content, head.read_bytes(head_name)), base)


def _adapter_folder(given: GivenPlace) -> Location:
    """Where the adapter's two files lie: in the directory itself, or in its ``adapter``, as in a run."""
    if given.file:
        raise ModelError(f"adapter: {given.uri} is a file; give the directory that holds {ADAPTER_WANTED}")
    place, names = given.place, set(given.place.names())
    if ADAPTER_FOLDER in names and not names & ADAPTER_PARTS:
        place, names = place / ADAPTER_FOLDER, set((place / ADAPTER_FOLDER).names())
    if not names & ADAPTER_PARTS and (HEAD_FOLDER in names or probe_names(place)):
        raise ModelError(f"adapter: {given.uri} holds a classifier and no adapter; give it as --probe {given.uri}")
    if ADAPTER_CONFIG not in names or not names & {ADAPTER_WEIGHTS, PICKLED_WEIGHTS}:
        raise nothing_there(given, place, ADAPTER_WANTED)
    return place


def read_given_probe(given: GivenPlace, run: RunOrigin | None) -> GivenFiles:
    """The classifier of a directory or file.

    Raises:
        ModelError: it cannot be read, there is none or are several, or it reads the states of an adapter.
    """
    if given.file.endswith(PICKLES):
        raise pickle_refused(given, given.file, CONVERT_HEAD)
    place, names = given.place, given.place.names()
    if HEAD_FOLDER in names and not given.file:
        place, names = place / HEAD_FOLDER, [*names, *(place / HEAD_FOLDER).names()]
    above = parent_of(place) if place.name == HEAD_FOLDER else place
    if {ADAPTER_FOLDER, ADAPTER_CONFIG} & {*names, *above.names()} or (run is not None and run.method == LORA):
        raise ModelError(
            f"probe: {above.uri} holds an adapter, and a classifier that was tuned together with one reads its states; "
            f"give both as --adapter {above.uri}"
        )
    name = given.file or _one_head(given, place)
    if not name:
        pickles = [name for name in names if name.endswith(PICKLES)]
        raise pickle_refused(given, pickles[0], CONVERT_HEAD) if pickles else nothing_there(given, place, PROBE_WANTED)
    if given.file and given.file not in names:
        raise nothing_there(given, place, given.file)
    load_probe(place, name)
    return GivenFiles("probe", None, place, name, content_hash(None, place.read_bytes(name)))


def _head_of(given: GivenPlace, place: Location, run: RunOrigin | None) -> tuple[Location | None, str]:
    """Directory and file name of the classifier that belongs to an adapter."""
    if place.name == ADAPTER_FOLDER and (parent_of(place) / HEAD_FOLDER).exists(PROBE_TENSORS):
        return parent_of(place) / HEAD_FOLDER, PROBE_TENSORS
    if run is not None and run.method == LORA:
        raise ModelError(
            f"adapter: {given.uri} was tuned together with a classifier, which is not in {HEAD_FOLDER}/{PROBE_TENSORS} "
            f"of {run.folder.uri}; copy it too"
        )
    if name := _one_head(given, place):
        return place, name
    if place.exists(PAPER_HEAD):
        raise pickle_refused(given, PAPER_HEAD, CONVERT_HEAD)
    return None, ""


def _one_head(given: GivenPlace, place: Location) -> str:
    """The name of the only file with a probe or head; empty where there is none."""
    found = probe_names(place)
    if len(found) > 1:
        way_out = "give one of them by its name" if given.field == "probe" else "keep the one that belongs to it"
        raise ModelError(f"{given.field}: {place.uri} holds several classifiers, {', '.join(found)}; {way_out}")
    return found[0] if found else ""


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
