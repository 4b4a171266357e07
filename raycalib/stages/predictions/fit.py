"""What is fitted on stored numbers alone: family rates, the probe, a temperature for every method. No Ray: seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from raycalib.errors import DataError, LossNotFiniteError
from raycalib.evaluation.baselines import TaskRates, fit_task_rates
from raycalib.evaluation.methods import FAMILY_RATE, FROM_TRAINING, PROBE
from raycalib.records import PREDICTION
from raycalib.stages.combo import Combo, Method, SetRows
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place
from raycalib.stages.predictions.evidence import Evidence, gather_evidence
from raycalib.stages.predictions.method_logits import TrainingFits, method_logits
from raycalib.stages.predictions.prediction import checked_temperature
from raycalib.stages.predictions.probe_rows import probe_rows
from raycalib.storage import Location, Manifest, write_manifest, write_shard
from raycalib.tuning.label_counts import LEAST_TO_FIT, LabelCounts
from raycalib.tuning.probe_files import PROBE_RECORD, PROBE_TENSORS, load_probe, save_probe
from raycalib.tuning.probe_fit import fit_probe
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature import Temperature
from raycalib.tuning.temperature_check import CheckedTemperature
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
    shards, records = list[str](), list[dict[str, Any]]()
    evidence, scored = _calibration(rows, style)
    for method in methods if rows else ():
        predicted = method_logits(method, evidence, scored, fits, style)
        shards.append(write_shard(place, len(shards), predicted.rows, PREDICTION))
        checked = checked_temperature(predicted)
        if checked.fitted is not None:
            save_temperature(place / TEMPERATURES / method.slug, checked.fitted)
        records.append(_record(method.name, checked))
    return {
        "shards": tuple(shards),
        "counts": {"in": len(evidence.rows), "out": len(evidence.rows) * len(shards)},
        "details": {"temperatures": records, "holes": dict(fits.holes)},
    }


def _calibration(rows: SetRows | None, style: str) -> tuple[Evidence, Mapping[str, StageOutput]]:
    if rows is None:
        return Evidence([], np.zeros((0, 0), dtype=np.float32)), {}
    return gather_evidence(rows.labelled, rows.features, style).of_splits((CALIBRATION_SPLIT,)), rows.scored


def _fit_on_training(
    place: Location, methods: Sequence[Method], rows: SetRows, style: str, probe: ProbeSettings, seed: int
) -> dict[str, str]:
    """Writes what is fitted on training rows; by method, why it is not."""
    names = {method.name for method in methods if not method.probe}
    evidence, holes = gather_evidence(rows.labelled, rows.features, style), dict[str, str]()
    if FAMILY_RATE in names:
        of_train = [row for row in evidence.rows if row["split"] == "train"]
        # Labels of one class give every family one rate: what is left of it is the number of its rows.
        if reason := LabelCounts.of(row["query_label"] for row in of_train).nothing_said("training labels"):
            holes[FAMILY_RATE] = f"not fitted: {reason}"
        else:
            place.write_json(RATES, asdict(fit_task_rates(of_train)))
    if PROBE in names:
        try:
            train, val = probe_rows(evidence)
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
