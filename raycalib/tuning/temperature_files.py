"""Saved temperatures: the scalar as safetensors, what it was fitted on, and a shift beside it, as JSON."""

from dataclasses import asdict
import math

import torch

from raycalib.errors import ModelError
from raycalib.storage import Location
from raycalib.tuning.platt import SHIFT_LIMIT, Platt
from raycalib.tuning.temperature import LOG_TEMPERATURE_LIMIT, Temperature
from raycalib.tuning.tensor_files import check_tensors, read_tensors, write_tensors

TEMPERATURE_TENSORS, TEMPERATURE_RECORD = "temperature.safetensors", "temperature.json"
LOG_TEMPERATURE = "log_temperature"
RECORDED = ("n", "nll_before", "nll_after")
SHIFT = "shift"
"""Only of Platt scaling."""


def save_temperature(place: Location, temperature: Temperature) -> None:
    """Writes ``temperature.safetensors`` (``log_temperature``, a float64 scalar), then ``temperature.json``.

    Raises:
        StorageError: a file cannot be written.
    """
    scalar = torch.tensor(temperature.log_temperature, dtype=torch.float64)
    write_tensors(place, TEMPERATURE_TENSORS, {LOG_TEMPERATURE: scalar})
    recorded = {name: _known(getattr(temperature, name)) for name in RECORDED}
    shift = {SHIFT: temperature.shift} if isinstance(temperature, Platt) else {}
    place.write_json(TEMPERATURE_RECORD, recorded | {"temperature": temperature.value} | shift)


def load_temperature(place: Location) -> Temperature:
    """A saved temperature, or Platt scaling, the same to the last bit.

    Raises:
        StorageError: a file cannot be read.
        DataError: the JSON is none.
        ModelError: the files hold no temperature, with what does not fit.
    """
    uri, tensors = (place / TEMPERATURE_TENSORS).uri, read_tensors(place, TEMPERATURE_TENSORS)
    check_tensors(tensors, {LOG_TEMPERATURE: ()}, uri, "a temperature")
    recorded = place.read_json(TEMPERATURE_RECORD)
    missing = [name for name in RECORDED if not isinstance(recorded, dict) or name not in recorded]
    if missing:
        raise ModelError(f"{(place / TEMPERATURE_RECORD).uri} does not describe a temperature: no {', '.join(missing)}")
    log_temperature = tensors[LOG_TEMPERATURE].double().item()
    if abs(log_temperature) > LOG_TEMPERATURE_LIMIT:
        limit = f"-{LOG_TEMPERATURE_LIMIT} to {LOG_TEMPERATURE_LIMIT}"
        raise ModelError(f"{uri} does not hold a temperature: {LOG_TEMPERATURE} is {log_temperature}, allowed: {limit}")
    try:
        n, before, after = (
            math.nan if recorded[name] is None and name != "n" else kind(recorded[name])
            for kind, name in zip((int, float, float), RECORDED, strict=True)
        )
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{(place / TEMPERATURE_RECORD).uri} does not describe a temperature: {error}; copy it again"
        ) from error
    found = Temperature(log_temperature=log_temperature, n=int(n), nll_before=before, nll_after=after)
    return found if SHIFT not in recorded else Platt(**asdict(found), shift=_shift(recorded[SHIFT], place))


def _shift(value: object, place: Location) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= SHIFT_LIMIT:
        raise ModelError(
            f"{(place / TEMPERATURE_RECORD).uri} does not describe a temperature: {SHIFT} is {value!r}, allowed: "
            f"-{SHIFT_LIMIT} to {SHIFT_LIMIT}"
        )
    return float(value)


def _known(value: float) -> float | None:
    """None for the NLL of a temperature that was fitted elsewhere, on rows that nobody knows."""
    return None if math.isnan(value) else value
