"""Each method's predictions on ``val_calibrate``, and what makes its confidences true there. No Ray."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from raycalib.evaluation.methods import COMBINED, WITH_PLATT
from raycalib.stages.combo import Method, SetRows
from raycalib.stages.predictions.combine import CombinedFit, signals_among
from raycalib.stages.predictions.evidence import evidence_of
from raycalib.stages.predictions.method_logits import Predictor, TrainingFits, nothing, predictor
from raycalib.stages.predictions.prediction import Variant
from raycalib.stages.predictions.write import EVIDENCE_COLUMNS, Planned, write_predictions
from raycalib.storage import Location
from raycalib.tuning.platt import Platt, fit_platt
from raycalib.tuning.temperature import Temperature
from raycalib.tuning.temperature_check import CheckedTemperature, fit_checked
from raycalib.tuning.temperature_files import save_temperature

CALIBRATION_SPLIT = "val_calibrate"
TEMPERATURES, PLATTS = "temperatures", "platts"
NO_ROWS = "not fitted: there are no rows of val_calibrate"
NUMBERS = ("log_temperature", "n", "nll_before", "nll_after")


def calibrate(
    place: Location, methods: Sequence[Method], rows: SetRows | None, fits: TrainingFits, style: str, with_platt: bool
) -> dict[str, Any]:
    """Writes each method's predictions on the calibration rows, and its temperature.

    Args:
        place: where they are written.
        methods: in the order of the shards.
        rows: of ``val_calibrate``, others among them; None fits nothing.
        fits: what was fitted on training rows.
        style: of the rows.
        with_platt: also fits Platt scaling.

    Returns:
        What the manifest says of it: shards, counts, and among the details temperatures and holes by method.
    """
    if rows is None:
        without = {method.name: NO_ROWS for method in methods if method.name == COMBINED}
        return {"shards": (), "counts": {"in": 0, "out": 0}, "details": _details([], [], {**fits.holes, **without})}
    held = {method.name: CalibrationRows() for method in methods}
    predictors, joined = _predictors(methods, rows, fits)
    planned = [
        Planned(
            predictor=predictors[name], variants=[Variant(name=name, reason=predictors[name].reason)], take=taken.add
        )
        for name, taken in held.items()
    ]
    source = evidence_of(rows, style, EVIDENCE_COLUMNS, (CALIBRATION_SPLIT,))
    written = write_predictions(place, planned, source)
    holes = {**fits.holes, **(joined.save(place) if joined else {})}
    temperatures, platts = list[dict[str, Any]](), list[dict[str, Any]]()
    for method in methods:
        name, taken = method.name, held[method.name]
        reason = predictors[name].reason or holes.get(name, "")
        temperatures.append(_record(name, _saved(place / TEMPERATURES / method.slug, taken.checked(reason))))
        if with_platt:
            scaled = _saved(place / PLATTS / method.slug, taken.checked(reason, with_shift=True))
            platts.append(_record(name + WITH_PLATT, scaled))
    return {
        "shards": written.shards,
        "counts": {"in": written.n_in, "out": written.n_in * len(written.shards)},
        "details": _details(temperatures, platts, holes),
    }


def _predictors(
    methods: Sequence[Method], rows: SetRows, fits: TrainingFits
) -> tuple[dict[str, Predictor], CombinedFit | None]:
    """What gives each method's predictions; ``combined`` is fitted once the others have theirs."""
    found = {method.name: predictor(method, rows.scored, fits) for method in methods if method.name != COMBINED}
    mine = next((method for method in methods if method.name == COMBINED), None)
    if mine is None:
        return found, None
    if mine.hole:
        return {**found, COMBINED: nothing(mine.hole)}, None
    joined = CombinedFit(signals_among(methods, {name: each.reason for name, each in found.items()}))
    return {**found, COMBINED: joined.predictor}, joined


def _details(
    temperatures: Sequence[Mapping[str, Any]], platts: Sequence[Mapping[str, Any]], holes: Mapping[str, str]
) -> dict[str, Any]:
    return {"temperatures": temperatures, "holes": holes} | ({"platts": platts} if platts else {})


class CalibrationRows:
    """Log-odds and labels of the predictions that have both: all that a temperature is fitted on."""

    def __init__(self) -> None:
        self._logits, self._labels = [np.zeros(0)], [np.zeros(0, dtype=np.int64)]

    def add(self, predictions: pa.Table) -> None:
        """Takes the predictions of a block."""
        held = predictions.select(["logit", "query_label"]).drop_null()
        self._logits.append(held["logit"].to_numpy())
        self._labels.append(held["query_label"].to_numpy().astype(np.int64))

    def checked(self, reason: str, *, with_shift: bool = False) -> CheckedTemperature:
        """The temperature, or Platt scaling, or why there is none; the reason is why there are no predictions."""
        logits, labels = np.concatenate(self._logits), np.concatenate(self._labels)
        if reason:
            return CheckedTemperature(n=len(labels), fitted=None, reason=reason)
        return fit_checked(logits, labels, fit_platt) if with_shift else fit_checked(logits, labels)


def _saved(place: Location, checked: CheckedTemperature) -> CheckedTemperature:
    if checked.fitted is not None:
        save_temperature(place, checked.fitted)
    return checked


def _record(method: str, checked: CheckedTemperature) -> dict[str, Any]:
    """What the manifest and the report say of a method's temperature."""
    found = dict.fromkeys(("log_temperature", "nll_before", "nll_after", "temperature"))
    if checked.fitted is not None:
        found |= asdict(checked.fitted) | {"temperature": checked.fitted.value}
    return found | {"method": method, "n": checked.n, "reason": checked.reason}


def read_scalings(records: Sequence[Mapping[str, Any]]) -> dict[str, CheckedTemperature]:
    """Temperatures, or Platt scalings, as the manifest has them, by method."""
    return {str(record["method"]).removesuffix(WITH_PLATT): _checked(record) for record in records}


def _checked(record: Mapping[str, Any]) -> CheckedTemperature:
    fitted = None if record["reason"] else Temperature(**{name: record[name] for name in NUMBERS})
    if fitted is not None and "shift" in record:
        fitted = Platt(**asdict(fitted), shift=record["shift"])
    return CheckedTemperature(n=record["n"], fitted=fitted, reason=record["reason"])
