"""Expected calibration error of P(correct), and the reliability diagram's bins behind it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from raycalib.metrics.array_checks import (
    FloatArray,
    IntArray,
    check_confidence,
    check_labels,
    check_same_length,
)
from raycalib.metrics.binning import (
    DEFAULT_BINNING,
    DEFAULT_N_BINS,
    Binning,
    assign_bins,
    equal_width_edges,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReliabilityBins:
    """The table behind a reliability diagram; all arrays have shape (n_bins,).

    Attributes:
        count: Rows in the bin; they sum to n.
        mean_confidence: Mean confidence of the bin in [0, 1], NaN in an empty bin.
        accuracy: Share of correct rows in [0, 1], NaN in an empty bin.
        lower: Lower edge (equal_width), or smallest confidence in the bin (equal_mass, NaN when empty).
        upper: Upper edge (equal_width), or largest confidence in the bin (equal_mass, NaN when empty).
    """

    count: IntArray
    mean_confidence: FloatArray
    accuracy: FloatArray
    lower: FloatArray
    upper: FloatArray


def expected_calibration_error(
    labels: ArrayLike,
    confidence: ArrayLike,
    n_bins: int = DEFAULT_N_BINS,
    binning: Binning = DEFAULT_BINNING,
) -> float:
    """Returns the ECE (L1) of P(correct); lower is better.

    ECE = sum over bins b of (n_b / n) * |accuracy_b - mean_confidence_b|

    The confidence is P(correct), not max(p, 1 - p): `ece_paper` has that one. Bins: see `assign_bins`; each
    row is in exactly one bin, those at 0.0 and 1.0 included. On few rows even a calibrated model scores above
    0: compare with `calibration_noise_floor`.

    Args:
        labels: 1 where the answer is correct, else 0, shape (n,).
        confidence: P(correct) in [0, 1], shape (n,).
        n_bins: Number of bins, at least 1.
        binning: "equal_mass" or "equal_width".

    Returns:
        A difference of probabilities in [0, 1].

    Raises:
        DataError: Empty, NaN, out of range, different lengths, or an unknown binning.

    Source: Guo et al. 2017, arXiv 1706.04599, equation 5; equal-mass bins: Nixon et al., arXiv 1904.01685.

    Example:
        >>> round(expected_calibration_error([1, 0, 1, 1], [0.5, 0.5, 0.9, 1.0], n_bins=2), 3)
        0.025
    """
    targets = check_labels(labels)
    values = check_confidence(confidence)
    check_same_length(labels=targets, confidence=values)
    bins = assign_bins(values, n_bins, binning)
    gap = np.bincount(bins, weights=targets - values, minlength=n_bins)
    return float(np.abs(gap).sum() / len(values))


def reliability_bins(
    labels: ArrayLike,
    confidence: ArrayLike,
    n_bins: int = DEFAULT_N_BINS,
    binning: Binning = DEFAULT_BINNING,
) -> ReliabilityBins:
    """Returns count, mean confidence, accuracy and edges of the bins that the ECE is made of.

    Args:
        labels: 1 where the answer is correct, else 0, shape (n,).
        confidence: P(correct) in [0, 1], shape (n,).
        n_bins: Number of bins, at least 1.
        binning: "equal_mass" or "equal_width".

    Returns:
        Arrays of shape (n_bins,).

    Raises:
        DataError: Empty, NaN, out of range, different lengths, or an unknown binning.

    Example:
        >>> reliability_bins([1, 0, 1, 1], [0.5, 0.5, 0.9, 1.0], n_bins=2).accuracy.tolist()
        [0.5, 1.0]
    """
    targets = check_labels(labels)
    values = check_confidence(confidence)
    check_same_length(labels=targets, confidence=values)
    bins = assign_bins(values, n_bins, binning)
    count = np.bincount(bins, minlength=n_bins).astype(np.int64)
    divisor = np.where(count > 0, count, np.nan)
    if binning == "equal_width":
        edges = equal_width_edges(n_bins)
        lower, upper = edges[:-1], edges[1:]
    else:
        lower, upper = np.full(n_bins, np.inf), np.full(n_bins, -np.inf)
        np.minimum.at(lower, bins, values)
        np.maximum.at(upper, bins, values)
        lower[count == 0] = upper[count == 0] = np.nan
    return ReliabilityBins(
        count=count,
        mean_confidence=np.bincount(bins, weights=values, minlength=n_bins) / divisor,
        accuracy=np.bincount(bins, weights=targets, minlength=n_bins) / divisor,
        lower=lower,
        upper=upper,
    )
