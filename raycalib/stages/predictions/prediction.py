"""What a method predicts: a confidence per row, or a reason why it has none."""

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np

from raycalib.records import PREDICTION, Row
from raycalib.tuning.temperature import Temperature
from raycalib.tuning.temperature_check import CheckedTemperature, fit_checked

KEPT = [name for name in PREDICTION.names if name not in ("method", "logit", "p_correct")]


@dataclass(frozen=True)
class Predicted:
    """Prediction records of one method, and why all of them are without a confidence; empty where they are not."""

    rows: list[Row]
    reason: str = ""


def prediction(row: Row, method: str, logit: float | None) -> Row:
    """The record of one row; log-odds that are not finite are none."""
    defined = logit if logit is not None and math.isfinite(logit) else None
    p_correct = None if defined is None else sigmoid(defined)
    return {name: row[name] for name in KEPT} | {"method": method, "logit": defined, "p_correct": p_correct}


def no_predictions(rows: Sequence[Row], method: str, reason: str) -> Predicted:
    """The rows without a confidence: a hole in the tables, with its reason."""
    return Predicted([prediction(row, method, None) for row in rows], reason)


def sigmoid(logit: float) -> float:
    """1 / (1 + e^-x) without overflow."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))


def checked_temperature(predicted: Predicted) -> CheckedTemperature:
    """The temperature of a method's predictions on the calibration rows, or why there is none."""
    held = [row for row in predicted.rows if row["query_label"] is not None and row["logit"] is not None]
    if predicted.reason:
        return CheckedTemperature(n=len(held), fitted=None, reason=predicted.reason)
    return fit_checked(np.array([row["logit"] for row in held]), np.array([row["query_label"] for row in held]))


def tempered(predicted: Predicted, name: str, temperature: Temperature | None, reason: str = "") -> Predicted:
    """The predictions under another name, their logits divided by a temperature; without one a hole with its reason."""
    if predicted.reason or temperature is None:
        return no_predictions(predicted.rows, name, predicted.reason or f"not fitted: {reason}")
    return Predicted(
        [
            prediction(row, name, None if row["logit"] is None else row["logit"] / temperature.value)
            for row in predicted.rows
        ]
    )
