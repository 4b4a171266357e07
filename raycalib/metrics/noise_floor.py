"""What a perfectly calibrated model would score, so that a small ECE is read against chance."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raycalib.errors import DataError
from raycalib.metrics.array_checks import FloatArray, IntArray, check_at_least, check_confidence
from raycalib.metrics.binning import assign_bins
from raycalib.metrics.ece import expected_calibration_error

CalibrationMetric = Callable[[IntArray, FloatArray], float]

# Bounds memory at about 32 MiB of random numbers, however many rows there are.
MAX_CELLS_PER_BATCH = 4_000_000


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """A metric's distribution under perfect calibration.

    Attributes:
        mean: Mean over the draws.
        quantile_95: 95 % quantile over the draws; a calibrated model exceeds it one time in twenty.
        n_draws_used: Draws on which the metric was a number.
    """

    mean: float
    quantile_95: float
    n_draws_used: int


def _label_draws(confidence: FloatArray, n_draws: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    generator = np.random.default_rng(seed)
    batch_size = max(1, MAX_CELLS_PER_BATCH // len(confidence))
    for done in range(0, n_draws, batch_size):
        shape = (min(batch_size, n_draws - done), len(confidence))
        yield generator.random(shape) < confidence


def _ece_options(metric: CalibrationMetric) -> dict[str, Any] | None:
    if metric is expected_calibration_error:
        return {}
    if isinstance(metric, partial) and metric.func is expected_calibration_error and not metric.args:
        return dict(metric.keywords)
    return None


def _ece_of_draws(draws: Iterator[NDArray[np.bool_]], values: FloatArray, bins: IntArray) -> FloatArray:
    """Returns the ECE of each draw; values and bins ascend, so that each bin is one run of columns."""
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    confidence_sums = np.add.reduceat(values, starts)
    label_sums = np.concatenate([np.add.reduceat(batch, starts, axis=1, dtype=np.int64) for batch in draws])
    errors: FloatArray = np.abs(label_sums - confidence_sums).sum(axis=1) / len(values)
    return errors


def calibration_noise_floor(
    confidence: ArrayLike,
    metric: CalibrationMetric = expected_calibration_error,
    n_draws: int = 1000,
    seed: int = 137,
) -> NoiseFloor:
    """Returns mean and 95 % quantile of the metric for a perfectly calibrated model with these confidences.

    Draws label_i ~ Bernoulli(confidence_i) `n_draws` times and scores each draw. For ECE (or a
    `functools.partial` of it) the bins, which depend on the confidences only, are computed once.

    Args:
        confidence: P(correct) in [0, 1], shape (n,).
        metric: Called as metric(labels, confidence), rows sorted by confidence.
        n_draws: Number of draws, at least 1.
        seed: Seed of numpy's default generator; equal seeds give equal results in any row order.

    Returns:
        Mean and quantile in the metric's unit; draws on which the metric is NaN are left out and counted.

    Raises:
        DataError: Empty, NaN, outside [0, 1], n_draws below 1, or a metric that is NaN on every draw.

    Source: consistency resampling, Broecker and Smith 2007.

    Example:
        >>> calibration_noise_floor([0.0, 1.0, 1.0], n_draws=10).mean
        0.0
        >>> calibration_noise_floor([0.5], n_draws=10).mean
        0.5
    """
    values = np.sort(check_confidence(confidence))
    check_at_least(n_draws, 1, "n_draws")
    options = _ece_options(metric)
    draws = _label_draws(values, n_draws, seed)
    if options is None:
        scores = np.array([metric(labels.astype(np.int64), values) for batch in draws for labels in batch])
    else:
        scores = _ece_of_draws(draws, values, assign_bins(values, **options))
    used = scores[~np.isnan(scores)]
    if used.size == 0:
        raise DataError(
            f"metric: expected a number on some draw, got NaN on all {n_draws};"
            " choose a metric that is defined on these rows"
        )
    return NoiseFloor(mean=float(used.mean()), quantile_95=float(np.quantile(used, 0.95)), n_draws_used=used.size)
