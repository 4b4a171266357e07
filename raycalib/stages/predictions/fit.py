"""What is fitted on stored numbers alone: family rates, the probe, a temperature for every method. No Ray: seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raycalib.errors import DataError, LossNotFiniteError
from raycalib.evaluation.baselines import TaskRates, TaskTally
from raycalib.evaluation.methods import FAMILY_RATE, FROM_TRAINING, PROBE
from raycalib.stages.combo import Combo, Method, SetRows
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place
from raycalib.stages.predictions.evidence import EvidenceSource
from raycalib.stages.predictions.method_logits import TrainingFits, predictor
from raycalib.stages.predictions.prediction import Variant
from raycalib.stages.predictions.probe_rows import CHOSEN_BY, FITTED_ON, PROBE_COLUMNS, ProbeSets
from raycalib.stages.predictions.write import EVIDENCE_COLUMNS, Planned, Written, write_predictions
from raycalib.storage import Location, Manifest, write_manifest
from raycalib.tuning.label_counts import LEAST_TO_FIT, LabelCounts
from raycalib.tuning.probe_files import PROBE_RECORD, PROBE_TENSORS, load_probe, save_probe
from raycalib.tuning.probe_fit import fit_probe
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature import Temperature
from raycalib.tuning.temperature_check import CheckedTemperature, fit_checked
from raycalib.tuning.temperature_files import save_temperature

VERSION = 1
"""Goes up where what is fitted comes out otherwise."""

RULES = {"least_to_fit": LEAST_TO_FIT, "one_class": "not fitted", "at_a_bound": "not fitted", "not_finite": "unscored"}
"""Part of what decides what is fitted: labels that say nothing fit nothing."""

CALIBRATION_SPLIT = "val_calibrate"
NO_TRAINING = (
    "needs the training set with labels and features, which jobs/full_pipeline.py with the same flags and --out leaves"
)
RATES, TEMPERATURES = "family_rates.json", "temperatures"
RATED = ("split", "task", *PROBE_COLUMNS)
"""What is learned from, of a labelled answer."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What was fitted for a combo.

    Attributes:
        output: where it lies; its shards are each method's predictions on ``val_calibrate``.
        training: what was fitted on training rows.
        temperatures: by method, fitted or with the reason why not; empty without rows to fit on.
    """

    output: StageOutput
    training: TrainingFits
    temperatures: Mapping[str, CheckedTemperature]


def fit(
    combo: Combo,
    methods: Sequence[Method],
    calibration: SetRows | None,
    training: SetRows | None,
    probe: ProbeSettings,
    seed: int,
    out: Location,
) -> Fitted:
    """Fits what the methods need on ``train`` and ``val_select``, and each method's temperature on ``val_calibrate``.

    What cannot be fitted is a hole, or a temperature that is none, with its reason.

    Args:
        combo: which.
        methods: for which something is fitted.
        calibration: rows of ``val_calibrate`` with the tuned methods' logits; None fits no temperature.
        training: rows of the training set; None where no method is fitted on them.
        probe: how a probe is fitted.
        seed: of the probe.
        out: the run's directory.
    """
    wanted = [method for method in methods if method.is_for(combo.style)]
    learns = training is not None and any(method.name in FROM_TRAINING and not method.probe for method in wanted)
    identity: dict[str, Any] = {
        "version": VERSION,
        "style": combo.style,
        "methods": [method.identity() for method in wanted],
        "rules": RULES,
    } | ({"seed": seed, "probe": asdict(probe)} if learns else {})
    inputs = calibration.keys if calibration else []
    inputs += [training.labelled.key, training.features.key] if training and learns else []
    key = stage_key("fitted", identity, inputs)
    place = stage_place(out, "fitted", combo.slug, key)
    if done := finished(place, key):
        return _read(done)
    say_why_again(place, f"fitted {combo}", identity, tuple(inputs))
    if training and learns:
        holes = _fit_on_training(place, wanted, training, combo.style, probe, seed)
    else:
        holes = {method.name: NO_TRAINING for method in wanted if method.name in FROM_TRAINING and not method.probe}
    manifest = Manifest(
        stage="fitted",
        key=key,
        config={"model": combo.model.name, **identity},
        inputs=tuple(inputs),
        **_calibrate(place, wanted, calibration, _read_training(place, holes), combo.style),
    )
    write_manifest(place, manifest, besides=(TEMPERATURES, RATES, PROBE_TENSORS, PROBE_RECORD))
    output = finished(place, key)
    assert output is not None, "it was just written"
    return _read(StageOutput(place=place, manifest=output.manifest, was_done=False))


def _calibrate(
    place: Location, methods: Sequence[Method], rows: SetRows | None, fits: TrainingFits, style: str
) -> dict[str, Any]:
    """Writes each method's predictions on the calibration rows and its temperature; what the manifest says of it."""
    written, records = Written((), (), 0), list[dict[str, Any]]()
    if rows is not None:
        held = [CalibrationRows() for _ in methods]
        predictors = [predictor(method, rows.scored, fits) for method in methods]
        planned = [
            Planned(predictor=plain, variants=[Variant(name=method.name, reason=plain.reason)], take=taken.add)
            for method, plain, taken in zip(methods, predictors, held, strict=True)
        ]
        written = write_predictions(place, planned, _source(rows, style, EVIDENCE_COLUMNS, (CALIBRATION_SPLIT,)))
        for method, plain, taken in zip(methods, predictors, held, strict=True):
            checked = taken.temperature(plain.reason)
            if checked.fitted is not None:
                save_temperature(place / TEMPERATURES / method.slug, checked.fitted)
            records.append(_record(method.name, checked))
    return {
        "shards": written.shards,
        "counts": {"in": written.n_in, "out": written.n_in * len(written.shards)},
        "details": {"temperatures": records, "holes": dict(fits.holes)},
    }


class CalibrationRows:
    """Log-odds and labels of the predictions that have both: all that a temperature is fitted on."""

    def __init__(self) -> None:
        self._logits, self._labels = [np.zeros(0)], [np.zeros(0, dtype=np.int64)]

    def add(self, predictions: pa.Table) -> None:
        """Takes the predictions of a block."""
        held = predictions.select(["logit", "query_label"]).drop_null()
        self._logits.append(held["logit"].to_numpy())
        self._labels.append(held["query_label"].to_numpy().astype(np.int64))

    def temperature(self, reason: str) -> CheckedTemperature:
        """The temperature, or why there is none; the reason is why the method has no predictions at all."""
        logits, labels = np.concatenate(self._logits), np.concatenate(self._labels)
        if reason:
            return CheckedTemperature(n=len(labels), fitted=None, reason=reason)
        return fit_checked(logits, labels)


def _source(rows: SetRows, style: str, columns: Sequence[str], splits: Sequence[str]) -> EvidenceSource:
    return EvidenceSource(
        labelled=rows.labelled, features=rows.features, style=style, columns=columns, splits=tuple(splits)
    )


def _fit_on_training(
    place: Location, methods: Sequence[Method], rows: SetRows, style: str, probe: ProbeSettings, seed: int
) -> dict[str, str]:
    """Writes what is fitted on training rows, which are read once; by method, why it is not."""
    names = {method.name for method in methods if not method.probe}
    tally, sets, holes = TaskTally(), ProbeSets(), dict[str, str]()
    for block in _source(rows, style, RATED, (FITTED_ON, CHOSEN_BY)).blocks(with_features=PROBE in names):
        for row in block.rows(*RATED) if FAMILY_RATE in names else ():
            if row["split"] == FITTED_ON:
                tally.add(row["task"], row["query_label"])
        if PROBE in names:
            sets.add(block)
    if FAMILY_RATE in names:
        # Labels of one class give every family one rate: what is left of it is the number of its rows.
        counts = LabelCounts(tally.n_right, tally.n_scored - tally.n_right)
        if reason := counts.nothing_said("training labels"):
            holes[FAMILY_RATE] = f"not fitted: {reason}"
        else:
            place.write_json(RATES, asdict(tally.rates()))
    if PROBE in names:
        try:
            train, val = sets.rows()
            save_probe(place, fit_probe(train.features, train.labels, val.features, val.labels, probe, seed))
        except (DataError, LossNotFiniteError) as error:  # said in the table: the other methods have their figures
            holes[PROBE] = f"not fitted: {error}"
    return holes


def _record(method: str, checked: CheckedTemperature) -> dict[str, Any]:
    """What the manifest and the report say of a method's temperature."""
    found = dict.fromkeys(("log_temperature", "nll_before", "nll_after", "temperature"))
    if checked.fitted is not None:
        found |= asdict(checked.fitted) | {"temperature": checked.fitted.value}
    return found | {"method": method, "n": checked.n, "reason": checked.reason}


def _read(output: StageOutput) -> Fitted:
    details = output.manifest.details
    temperatures = {record["method"]: _checked(record) for record in details["temperatures"]}
    return Fitted(output=output, training=_read_training(output.place, details["holes"]), temperatures=temperatures)


def _checked(record: Mapping[str, Any]) -> CheckedTemperature:
    names = ("log_temperature", "n", "nll_before", "nll_after")
    fitted = None if record["reason"] else Temperature(**{name: record[name] for name in names})
    return CheckedTemperature(n=record["n"], fitted=fitted, reason=record["reason"])


def _read_training(place: Location, holes: Mapping[str, str]) -> TrainingFits:
    return TrainingFits(
        rates=TaskRates(**place.read_json(RATES)) if place.exists(RATES) else None,
        probe=load_probe(place) if place.exists(PROBE_TENSORS) else None,
        holes=holes,
    )
