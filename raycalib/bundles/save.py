"""Writes a bundle: what was tuned and fitted for a combo, ready to use."""

from collections.abc import Mapping
from dataclasses import dataclass
import json

import numpy as np
import torch

from raycalib.bundles.card import CARD, DIAGRAM, adapter_rank, model_card
from raycalib.bundles.layout import CALIBRATION_TENSORS, HELD, adapter_place, part_place
from raycalib.bundles.record import RECORD, BundleRecord, read_record
from raycalib.errors import ModelError
from raycalib.lm.adapter_files import read_adapter
from raycalib.lm.adapter_names import ADAPTER_CONFIG, ADAPTER_FILES, ADAPTER_WEIGHTS
from raycalib.storage import Location
from raycalib.tuning.combined import Combined
from raycalib.tuning.combined_files import save_combined
from raycalib.tuning.probe_files import PROBE_TENSORS
from raycalib.tuning.temperature import Temperature
from raycalib.tuning.temperature_files import save_temperature
from raycalib.tuning.tensor_files import write_tensors


@dataclass(frozen=True, kw_only=True)
class MethodFiles:
    """What a method consists of.

    Attributes:
        adapter: directory of its adapter.
        probe: directory and file of its classifier.
        combined: weights of the others, of ``combined``.
        temperature: that its log-odds are divided by, Platt scaling among them; None where it is not calibrated.
        log_odds: (n,) of the rows of ``val_calibrate`` that nothing but the temperature was fitted on, float64.
        labels: (n,) 0 or 1.
    """

    adapter: Location | None = None
    probe: tuple[Location, str] | None = None
    combined: Combined | None = None
    temperature: Temperature | None = None
    log_odds: np.ndarray
    labels: np.ndarray


def is_saved(place: Location, key: str) -> bool:
    """Whether a bundle that was made from the same lies there; one that cannot be read does not."""
    try:
        return place.exists(RECORD) and read_record(place).key == key
    except ModelError:
        return False


def is_calibrated(place: Location) -> bool:
    """Whether a bundle lies there that gives confidences; one that cannot be read does not."""
    try:
        found = read_record(place).methods.values() if place.exists(RECORD) else ()
    except ModelError:
        return False
    return any(method.calibration.kind != "none" for method in found)


def save_bundle(
    place: Location, record: BundleRecord, methods: Mapping[str, MethodFiles], diagram: bytes | None = None
) -> None:
    """Writes a bundle in place of one that may lie there, beside whatever else does; ``raycalib.json`` comes last.

    Args:
        place: of the bundle.
        record: what it says of itself.
        methods: the files of those that it names.
        diagram: of its reliability, a PNG; None where nothing was evaluated.

    Raises:
        StorageError: a file cannot be read or written.
        ModelError: an adapter is a pointer or a pickle, or the record says what no bundle can.
    """
    values = record.as_json()
    there = set(place.names())
    for name in (RECORD, *HELD, *ADAPTER_FILES, DIAGRAM, CARD):  # the record first: without it there is no bundle
        if name in there:
            (place / name).remove()
    for name, files in methods.items():
        if files.adapter is not None:
            _copy_adapter(files.adapter, adapter_place(place, name, methods), record)
        part = part_place(place, name)
        if files.probe is not None:
            folder, file = files.probe
            part.write_bytes(PROBE_TENSORS, folder.read_bytes(file))
        if files.combined is not None:
            save_combined(part, files.combined)
        if files.temperature is not None:
            save_temperature(part, files.temperature)
        rows = {"log_odds": torch.tensor(files.log_odds), "labels": torch.tensor(files.labels.astype(np.uint8))}
        write_tensors(part, CALIBRATION_TENSORS, rows)
    if diagram is not None:
        place.write_bytes(DIAGRAM, diagram)
    card = model_card(record, place.name, has_diagram=diagram is not None, rank=adapter_rank(place))
    place.write_bytes(CARD, card.encode())
    place.write_json(RECORD, values)


def _copy_adapter(source: Location, target: Location, record: BundleRecord) -> None:
    """The adapter's two files; its base is the hub's name, or none: a directory of one machine is no other's."""
    content = read_adapter(source)
    config = json.loads(content.config)
    base = record.base
    config |= {
        "base_model_name_or_path": base.path if base.where == "hub" else None,
        "revision": base.revision,
        "auto_mapping": None,
        "inference_mode": True,
    }
    target.write_json(ADAPTER_CONFIG, config)
    target.write_bytes(ADAPTER_WEIGHTS, content.weights)
