"""From logits and features to predictions: probe, temperatures, baselines. No Ray: it takes seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from raycalib.errors import DataError, LossNotFiniteError
from raycalib.evaluation.baselines import answer_log_odds, fit_task_rates, log_odds, option_log_odds
from raycalib.evaluation.methods import (
    ANSWER_LIKELIHOOD,
    FAMILY_RATE,
    OF_CHOICE_ALONE,
    OPTION_LIKELIHOOD,
    PROBE,
    TRAINED,
    WITH_TEMPERATURE,
    ZERO_SHOT_QUERY,
)
from raycalib.records import PREDICTION, Row
from raycalib.stages.evidence import Evidence, gather_evidence
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place
from raycalib.stages.prediction import Predicted, no_predictions, prediction, tempered
from raycalib.storage import Location, Manifest, write_manifest, write_shard
from raycalib.tuning.label_counts import LEAST_TO_FIT, LabelCounts
from raycalib.tuning.probe_files import PROBE_RECORD, PROBE_TENSORS, save_probe
from raycalib.tuning.probe_fit import fit_probe
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature_check import CheckedTemperature
from raycalib.tuning.temperature_files import save_temperature

EVALUATED_SPLITS = ("val_calibrate", "test", "heldout_families")
CALIBRATION_SPLIT = "val_calibrate"
RULES = {"least_to_fit": LEAST_TO_FIT, "one_class": "not fitted", "at_a_bound": "not fitted", "not_finite": "unscored"}
"""Part of what decides the predictions: labels that say nothing fit nothing."""


@dataclass(frozen=True, kw_only=True)
class Combo:
    """What the predictions of one model and style are made from."""

    model: str
    slug: str
    style: str
    labelled: StageOutput
    features: StageOutput
    tuned_logits: Mapping[str, StageOutput]


def predict(combo: Combo, methods: Sequence[str], probe: ProbeSettings, seed: int, out: Location) -> StageOutput:
    """Predictions of every method on the calibration, test and held-out rows, one shard per method.

    Trained methods also get a temperature, fitted on ``val_calibrate`` alone. What cannot be fitted has a shard all the
    same, without confidences, and its reason stands in the manifest's ``holes``.
    """
    identity = {"style": combo.style, "methods": list(methods), "seed": seed, "probe": asdict(probe), "rules": RULES}
    inputs = [combo.labelled.key, combo.features.key, *(output.key for output in combo.tuned_logits.values())]
    key = stage_key("predictions", identity, inputs)
    place = stage_place(out, "predictions", f"{combo.slug}-{combo.style}", key)
    if done := finished(place, key):
        return done
    evidence = gather_evidence(combo.labelled, combo.features, combo.style)
    shards: list[str] = []
    details: dict[str, Any] = {"temperatures": [], "holes": {}}
    n_out = 0
    for method in methods:
        if method in OF_CHOICE_ALONE and combo.style != "choice":
            continue
        variants = {method: _predicted(method, combo, evidence, probe, seed, place)}
        if method in TRAINED:
            variants[method + WITH_TEMPERATURE], checked = tempered(variants[method], method, CALIBRATION_SPLIT)
            if checked.fitted is not None:
                save_temperature(place / "temperatures" / method, checked.fitted)
            details["temperatures"].append(_record(method, checked))
        for name, predicted in variants.items():
            shards.append(write_shard(place, len(shards), predicted.rows, PREDICTION))
            n_out += len(predicted.rows)
            if predicted.reason:
                details["holes"][name] = predicted.reason
    write_manifest(
        place,
        Manifest(
            stage="predictions",
            key=key,
            config={"model": combo.model, **identity},
            inputs=tuple(inputs),
            shards=tuple(shards),
            counts={"in": len(evidence.rows), "out": n_out},
            details=details,
        ),
        besides=("temperatures", PROBE_TENSORS, PROBE_RECORD),
    )
    output = finished(place, key)
    if output is None:
        raise DataError(f"{place.uri}: the manifest just written cannot be read")
    return StageOutput(place=place, manifest=output.manifest, was_done=False)


def _record(method: str, checked: CheckedTemperature) -> dict[str, Any]:
    """What the manifest and the report say of a method's temperature."""
    found = dict.fromkeys(("log_temperature", "nll_before", "nll_after", "temperature"))
    if checked.fitted is not None:
        found |= asdict(checked.fitted) | {"temperature": checked.fitted.value}
    return found | {"method": method, "n": checked.n, "reason": checked.reason}


def _predicted(
    method: str, combo: Combo, evidence: Evidence, probe: ProbeSettings, seed: int, place: Location
) -> Predicted:
    evaluated = [row for row in evidence.rows if row["split"] in EVALUATED_SPLITS]
    if method == ZERO_SHOT_QUERY:
        return Predicted([prediction(row, method, _margin(row)) for row in evaluated])
    if method == ANSWER_LIKELIHOOD:
        return Predicted([prediction(row, method, answer_log_odds(row)) for row in evaluated])
    if method == OPTION_LIKELIHOOD:
        return Predicted([prediction(row, method, option_log_odds(row)) for row in evaluated])
    if method == FAMILY_RATE:
        return _rated(evidence, evaluated)
    if method == PROBE:
        return _probed(evidence, evaluated, probe, seed, place)
    if method in combo.tuned_logits:
        tuned = [row for row in combo.tuned_logits[method].rows() if row["style"] == combo.style]
        return Predicted([prediction(row, method, _margin(row)) for row in tuned])
    raise DataError(f"method: {method!r} has nothing to predict from")


def _margin(row: Row) -> float | None:
    if row["logit_yes"] is None or row["logit_no"] is None:
        return None
    return float(row["logit_yes"] - row["logit_no"])


def _rated(evidence: Evidence, evaluated: list[Row]) -> Predicted:
    """Labels of one class give every family one rate: what is left of it is the number of its rows."""
    train = [row for row in evidence.rows if row["split"] == "train"]
    if reason := LabelCounts.of(row["query_label"] for row in train).nothing_said("training labels"):
        return no_predictions(evaluated, FAMILY_RATE, f"not fitted: {reason}")
    rates = fit_task_rates(train)
    return Predicted([prediction(row, FAMILY_RATE, log_odds(rates.rate(row["task"]))) for row in evaluated])


def _probed(evidence: Evidence, evaluated: list[Row], settings: ProbeSettings, seed: int, place: Location) -> Predicted:
    """A probe needs both classes to be fitted, and to be selected."""
    train, val = _labelled_features(evidence, "train"), _labelled_features(evidence, "val_select")
    for (_, labels), name in ((train, "training labels"), (val, "labels of val_select")):
        if reason := LabelCounts.of(labels.tolist()).nothing_said(f"{name} with features"):
            return no_predictions(evaluated, PROBE, f"not fitted: {reason}")
    try:
        fit = fit_probe(*train, *val, settings, seed)
    except LossNotFiniteError as error:  # said in the table: the other methods have their figures
        return no_predictions(evaluated, PROBE, f"not fitted: {error}")
    save_probe(place, fit)
    usable = evidence.usable(EVALUATED_SPLITS)
    margins = fit.probe.margin(evidence.features[usable]) if len(usable) else []
    found = dict(zip(usable.tolist(), map(float, margins), strict=True))
    numbers = [number for number, row in enumerate(evidence.rows) if row["split"] in EVALUATED_SPLITS]
    return Predicted([prediction(evidence.rows[number], PROBE, found.get(number)) for number in numbers])


def _labelled_features(evidence: Evidence, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(n, H) features and (n,) labels of the split's rows that have both."""
    kept = [i for i in evidence.usable((split,)) if evidence.rows[i]["query_label"] is not None]
    labels = np.array([evidence.rows[i]["query_label"] for i in kept], dtype=np.int64)
    return evidence.features[kept], labels
