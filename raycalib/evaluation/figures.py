"""Figures of one method on one split, each with n, unscored rows and a seeded bootstrap interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math
from typing import Any

import numpy as np

from raycalib.metrics import (
    accuracy,
    aurc,
    auroc,
    bootstrap_interval,
    brier_score,
    calibration_noise_floor,
    expected_calibration_error,
    mean_within_group_auroc,
    nll,
    reliability_bins,
    risk_coverage_curve,
)
from raycalib.records import Row

Metric = Callable[..., float]
CURVE_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The scored rows of one method on one split as arrays of equal length."""

    labels: np.ndarray  # (n,) int 0 or 1
    confidence: np.ndarray  # (n,) p_correct in [0, 1]
    logit: np.ndarray  # (n,) log-odds; ranks without the ties of saturated probabilities
    tasks: np.ndarray  # (n,) str
    groups: np.ndarray  # (n,) str, resampled together
    n_unscored: int


def scored(rows: Sequence[Row]) -> Scored:
    """Arrays of the rows that have a label and a confidence, probability in [0, 1] and logit finite; others count."""
    numbers = [_numbers([row[name] for row in rows]) for name in ("query_label", "p_correct", "logit")]
    return scored_columns(*numbers, *(np.array([row[name] for row in rows], dtype=str) for name in ("task", "group")))


def scored_columns(
    labels: np.ndarray, p_correct: np.ndarray, logits: np.ndarray, tasks: np.ndarray, groups: np.ndarray
) -> Scored:
    """``scored`` of (n,) columns: labels, probabilities and logits are NaN where a row has none."""
    with np.errstate(invalid="ignore"):
        kept = ~np.isnan(labels) & (p_correct >= 0) & (p_correct <= 1) & np.isfinite(logits)
    return Scored(
        labels=labels[kept].astype(np.int64),
        confidence=p_correct[kept].astype(np.float64),
        logit=logits[kept].astype(np.float64),
        tasks=tasks[kept].astype(str),
        groups=groups[kept].astype(str),
        n_unscored=len(labels) - int(kept.sum()),
    )


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def says_nothing(data: Scored) -> str:
    """Why these figures tell no method from another; empty where they may.

    Of one class alone there is no ranking, and the best calibrated method is whoever says that class always.
    """
    if not len(data.labels):
        return f"none of {data.n_unscored:,} rows has a label and a confidence"
    n_right = int(data.labels.sum())
    return "" if 0 < n_right < len(data.labels) else f"all {len(data.labels):,} labels are {int(n_right > 0)}"


def figures(data: Scored, n_resamples: int, seed: int) -> dict[str, Any]:
    """The summary's figures: ``{value, low, high}`` per metric, of ``n`` rows; undefined is None, with a ``reason``.

    Args:
        data: rows of one method on one split.
        n_resamples: of the bootstrap, drawn by question.
        seed: of the bootstrap and the noise floor.
    """
    result: dict[str, Any] = {"n": len(data.labels), "n_unscored": data.n_unscored, "reason": says_nothing(data)}
    metrics: dict[str, tuple[Metric, tuple[np.ndarray, ...]]] = {
        "accuracy": (accuracy, (data.labels,)),
        "ece": (expected_calibration_error, (data.labels, data.confidence)),
        "auroc": (auroc, (data.labels, data.logit)),
        "brier": (brier_score, (data.labels, data.confidence)),
        "nll": (nll, (data.labels, data.confidence)),
        "aurc": (aurc, (data.labels, data.logit)),
    }
    for name, (metric, arrays) in metrics.items():
        result[name] = _with_interval(metric, arrays, data.groups, n_resamples, seed)
    result["ece_noise_floor"] = _noise_floor(data, seed)
    result["within_task_auroc"] = _within_task(data)
    return result


def _with_interval(
    metric: Metric, arrays: tuple[np.ndarray, ...], groups: np.ndarray, n_resamples: int, seed: int
) -> dict[str, float | None]:
    if not len(groups):
        return {"value": None, "low": None, "high": None}
    interval = bootstrap_interval(metric, arrays, groups=groups, n_resamples=n_resamples, seed=seed)
    return {"value": _or_none(interval.value), "low": _or_none(interval.low), "high": _or_none(interval.high)}


def _noise_floor(data: Scored, seed: int) -> dict[str, float | None]:
    if not len(data.labels):
        return {"mean": None, "quantile_95": None}
    floor = calibration_noise_floor(data.confidence, seed=seed)
    return {"mean": _or_none(floor.mean), "quantile_95": _or_none(floor.quantile_95)}


def _within_task(data: Scored) -> dict[str, float | int | None]:
    if not len(data.labels):
        return {"value": None, "n": 0, "n_tasks": 0, "n_tasks_left_out": 0}
    within = mean_within_group_auroc(data.labels, data.logit, data.tasks)
    return {
        "value": _or_none(within.value),
        "n": within.n_rows_used,
        "n_tasks": within.n_groups_used,
        "n_tasks_left_out": within.n_groups_left_out,
    }


def reliability(data: Scored) -> dict[str, list[float | None]]:
    """Points of the reliability diagram, one per non-empty bin."""
    bins = reliability_bins(data.labels, data.confidence)
    columns = {"count": bins.count, "mean_confidence": bins.mean_confidence, "accuracy": bins.accuracy}
    return {name: [_or_none(float(value)) for value in values] for name, values in columns.items()}


def risk_coverage(data: Scored) -> dict[str, list[float]]:
    """The risk–coverage curve, thinned to about 200 points."""
    curve = risk_coverage_curve(data.labels, data.logit)
    places = np.unique(np.linspace(0, len(curve.coverage) - 1, CURVE_POINTS).astype(int))
    return {"coverage": curve.coverage[places].tolist(), "risk": curve.risk[places].tolist()}


def task_figures(data: Scored) -> dict[str, tuple[int, float, float | None]]:
    """(n, accuracy, AUROC or None) per task."""
    found = {}
    for task in sorted(set(data.tasks.tolist())):
        mine = data.tasks == task
        labels = data.labels[mine]
        found[task] = (int(mine.sum()), float(labels.mean()), _or_none(auroc(labels, data.logit[mine])))
    return found


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
