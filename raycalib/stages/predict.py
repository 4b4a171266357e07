"""From logits and features to predictions: probe, temperatures, baselines. No Ray: it takes seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
import math
from typing import Any

import numpy as np

from raycalib.errors import DataError
from raycalib.evaluation.baselines import answer_log_odds, fit_task_rates, log_odds
from raycalib.evaluation.methods import (
    ANSWER_LIKELIHOOD,
    FAMILY_RATE,
    PROBE,
    TRAINED,
    WITH_TEMPERATURE,
    ZERO_SHOT_QUERY,
)
from raycalib.records import PREDICTION, Row
from raycalib.stages.evidence import Evidence, gather_evidence
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place
from raycalib.storage import Location, Manifest, write_manifest, write_shard
from raycalib.tuning.probe_files import save_probe
from raycalib.tuning.probe_fit import fit_probe
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature import Temperature, fit_temperature
from raycalib.tuning.temperature_files import save_temperature

EVALUATED_SPLITS = ("val_calibrate", "test", "heldout_families")
KEPT = [name for name in PREDICTION.names if name not in ("method", "logit", "p_correct")]


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

    Trained methods also get a temperature, fitted on ``val_calibrate`` alone.
    """
    identity = {"style": combo.style, "methods": list(methods), "seed": seed, "probe": asdict(probe)}
    inputs = [combo.labelled.key, combo.features.key, *(output.key for output in combo.tuned_logits.values())]
    key = stage_key("predictions", identity, inputs)
    place = stage_place(out, "predictions", f"{combo.slug}-{combo.style}", key)
    if done := finished(place, key):
        return done
    evidence = gather_evidence(combo.labelled, combo.features, combo.style)
    shards: list[str] = []
    details: dict[str, Any] = {"temperatures": []}
    n_out = 0
    for method in methods:
        predictions = _predictions(method, combo, evidence, probe, seed, place)
        variants = {method: predictions}
        if method in TRAINED:
            variants[method + WITH_TEMPERATURE], fitted = _tempered(predictions, method)
            save_temperature(place / "temperatures" / method, fitted)
            details["temperatures"].append({"method": method, **asdict(fitted), "temperature": fitted.value})
        for of_method in variants.values():
            shards.append(write_shard(place, len(shards), of_method, PREDICTION))
            n_out += len(of_method)
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
    )
    output = finished(place, key)
    if output is None:
        raise DataError(f"{place.uri}: the manifest just written cannot be read")
    return StageOutput(place=place, manifest=output.manifest, was_done=False)


def _predictions(
    method: str, combo: Combo, evidence: Evidence, probe: ProbeSettings, seed: int, place: Location
) -> list[Row]:
    evaluated = [row for row in evidence.rows if row["split"] in EVALUATED_SPLITS]
    if method == ZERO_SHOT_QUERY:
        return [_prediction(row, method, _margin(row)) for row in evaluated]
    if method == ANSWER_LIKELIHOOD:
        return [_prediction(row, method, answer_log_odds(row)) for row in evaluated]
    if method == FAMILY_RATE:
        rates = fit_task_rates(row for row in evidence.rows if row["split"] == "train")
        return [_prediction(row, method, log_odds(rates.rate(row["task"]))) for row in evaluated]
    if method == PROBE:
        return _probed(evidence, evaluated, probe, seed, place)
    if method in combo.tuned_logits:
        tuned = [row for row in combo.tuned_logits[method].rows() if row["style"] == combo.style]
        return [_prediction(row, method, _margin(row)) for row in tuned]
    raise DataError(f"method: {method!r} has nothing to predict from")


def _margin(row: Row) -> float | None:
    if row["logit_yes"] is None or row["logit_no"] is None:
        return None
    return float(row["logit_yes"] - row["logit_no"])


def _prediction(row: Row, method: str, logit: float | None) -> Row:
    p_correct = None if logit is None else _sigmoid(logit)
    return {name: row[name] for name in KEPT} | {"method": method, "logit": logit, "p_correct": p_correct}


def _sigmoid(logit: float) -> float:
    """1 / (1 + e^-x) without overflow."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))


def _probed(evidence: Evidence, evaluated: list[Row], settings: ProbeSettings, seed: int, place: Location) -> list[Row]:
    fit = fit_probe(*_labelled_features(evidence, "train"), *_labelled_features(evidence, "val_select"), settings, seed)
    save_probe(place, fit)
    usable = evidence.usable(EVALUATED_SPLITS)
    margins = fit.probe.margin(evidence.features[usable]) if len(usable) else []
    found = {evidence.rows[i]["row_id"]: float(margin) for i, margin in zip(usable, margins, strict=True)}
    return [_prediction(row, PROBE, found.get(row["row_id"])) for row in evaluated]


def _labelled_features(evidence: Evidence, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(n, H) features and (n,) labels of the split's rows that have both."""
    kept = [i for i in evidence.usable((split,)) if evidence.rows[i]["query_label"] is not None]
    labels = np.array([evidence.rows[i]["query_label"] for i in kept], dtype=np.int64)
    return evidence.features[kept], labels


def _tempered(predictions: list[Row], method: str) -> tuple[list[Row], Temperature]:
    """The predictions with their logits divided by a temperature fitted on ``val_calibrate``."""
    held = [
        row
        for row in predictions
        if row["split"] == "val_calibrate" and row["query_label"] is not None and row["logit"] is not None
    ]
    fitted = fit_temperature(np.array([row["logit"] for row in held]), np.array([row["query_label"] for row in held]))
    name = method + WITH_TEMPERATURE
    scaled = [
        _prediction(row, name, None if row["logit"] is None else row["logit"] / fitted.value) for row in predictions
    ]
    return scaled, fitted
