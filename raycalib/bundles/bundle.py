"""A bundle as it lies somewhere: its record, and the parts that its methods are made of, each checked as it is read."""

from dataclasses import dataclass

import numpy as np

from raycalib.bundles.layout import CALIBRATION_TENSORS, part_place
from raycalib.bundles.places import find_bundle_place
from raycalib.bundles.record import BundleRecord, read_record
from raycalib.errors import ConfigError, ModelError
from raycalib.evaluation.methods import COMBINED
from raycalib.prompts import QUERY_VERSION
from raycalib.storage import Location
from raycalib.tuning.combined import Combined
from raycalib.tuning.combined_files import load_combined
from raycalib.tuning.platt import Platt
from raycalib.tuning.temperature import Temperature
from raycalib.tuning.temperature_files import load_temperature
from raycalib.tuning.tensor_files import read_tensors


@dataclass(frozen=True)
class Bundle:
    """A bundle's place, what it says of itself, and whether it lies in the hub's cache, which is not written to."""

    place: Location
    record: BundleRecord
    is_fetched: bool = False

    def method(self, name: str | None) -> str:
        """The method of that name, or the bundle's own.

        Raises:
            ConfigError: it holds no such method.
        """
        if name is not None and name not in self.record.methods:
            raise ConfigError(f"method: {name!r} is not in the bundle; allowed: {', '.join(self.record.methods)}")
        return name or self.record.default

    def temperature(self, method: str) -> Temperature | None:
        """What a method's log-odds are divided by, and shifted by with Platt scaling; None where it is not calibrated.

        Raises:
            ModelError, StorageError: the file is not there or holds none.
        """
        if self.record.methods[method].calibration.kind == "none":
            return None
        found, kind = load_temperature(part_place(self.place, method)), self.record.methods[method].calibration.kind
        if isinstance(found, Platt) != (kind == "platt"):
            raise ModelError(f"bundle: {self.place.uri}: {method} is said to have {kind}, and has another scaling")
        return found

    def combined(self) -> Combined:
        """What ``combined`` is made of.

        Raises:
            ModelError: the file holds no weights, or weights of a method that the bundle does not hold.
            DataError, StorageError: the file is not there or is damaged.
        """
        found = load_combined(part_place(self.place, COMBINED))
        if lacking := [name for name in found.signals if name == COMBINED or name not in self.record.methods]:
            raise ModelError(f"bundle: {self.place.uri}: combined is made of {lacking[0]}, which is not in the bundle")
        return found

    def calibration_rows(self, method: str) -> tuple[np.ndarray, np.ndarray]:
        """(n,) log-odds in float64 and (n,) labels 0 or 1 of the rows of ``val_calibrate``.

        Raises:
            ModelError, StorageError: the file is not there or holds none.
        """
        place = part_place(self.place, method)
        tensors, uri = read_tensors(place, CALIBRATION_TENSORS), (place / CALIBRATION_TENSORS).uri
        log_odds, labels = tensors.get("log_odds"), tensors.get("labels")
        if log_odds is None or labels is None or log_odds.ndim != 1 or log_odds.shape != labels.shape:
            raise ModelError(f"bundle: {uri} does not hold log_odds and labels of the same rows; make the bundle again")
        found = log_odds.double().numpy(), labels.long().numpy()
        if not np.isfinite(found[0]).all() or not np.isin(found[1], (0, 1)).all():
            raise ModelError(f"bundle: {uri} has log-odds that are not finite, or labels other than 0 and 1")
        return found


def open_bundle(place: str, base: str | None = None) -> Bundle:
    """The bundle at a place; see ``find_bundle_place``.

    Raises:
        ConfigError: there is none.
        ModelError: it is not what this raycalib can use.
        StorageError: it cannot be read.
    """
    location, is_fetched = find_bundle_place(place, base)
    record = read_record(location)
    if record.query_version != QUERY_VERSION:
        raise ModelError(
            f"bundle: {location.uri} was tuned on the query {record.query_version}, this raycalib asks "
            f"{QUERY_VERSION}; use the raycalib that made it (versions in raycalib.json)"
        )
    return Bundle(location, record, is_fetched)
