"""Saved weights of what several methods say together, as JSON."""

from dataclasses import asdict
import math
from typing import Any

from raycalib.errors import ModelError
from raycalib.storage import Location
from raycalib.tuning.combined import FEWEST_SIGNALS, Combined

COMBINED_FILE = "combined.json"
NUMBER = {"type": "number", "minimum": -1e300, "maximum": 1e300}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["signals", "weights", "shift", "n"],
    "properties": {
        "signals": {
            "type": "array",
            "minItems": FEWEST_SIGNALS,
            "uniqueItems": True,
            "items": {"type": "string"},
        },
        "weights": {"type": "array", "items": NUMBER},
        "shift": NUMBER,
        "n": {"type": "integer", "minimum": 0},
    },
}


def save_combined(place: Location, combined: Combined) -> None:
    """Writes ``combined.json``.

    Raises:
        StorageError: it cannot be written.
    """
    place.write_json(COMBINED_FILE, asdict(combined))


def load_combined(place: Location) -> Combined:
    """Saved weights, the same to the last bit.

    Raises:
        StorageError, DataError: the file cannot be read.
        ModelError: it holds no weights, with what does not fit.
    """
    from jsonschema import Draft202012Validator

    values: Any = place.read_json(COMBINED_FILE)
    if Draft202012Validator(SCHEMA).is_valid(values) and len(values["signals"]) == len(values["weights"]):
        weights, shift = tuple(map(float, values["weights"])), float(values["shift"])
        if all(map(math.isfinite, (*weights, shift))):
            return Combined(signals=tuple(values["signals"]), weights=weights, shift=shift, n=values["n"])
    raise ModelError(
        f"{(place / COMBINED_FILE).uri} does not describe weights, a finite number for each of several methods; "
        "copy it again"
    )
