"""The paper's own calibration error, faults included, so that its published figures can be compared with."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raycalib.errors import DataError
from raycalib.metrics.array_checks import check_labels, check_same_length

PAPER_N_BINS = 10


def _check_max_prob(max_prob: ArrayLike) -> NDArray[np.floating[Any]]:
    given = np.asarray(max_prob)
    if given.ndim != 1 or given.dtype.kind not in "biuf":
        raise DataError(
            f"max_prob: expected a 1-D array of numbers, got shape {given.shape} and dtype {given.dtype};"
            " pass max(p, 1 - p) of each row"
        )
    values = given if given.dtype == np.float32 else given.astype(np.float64)
    wrong = values[(values < 0.0) | (values > 1.0)]
    if wrong.size:
        raise DataError(
            f"max_prob: expected values in [0, 1], got {wrong[0]} ({wrong.size} such rows);"
            " pass max(p, 1 - p), not a logit"
        )
    return values


def ece_paper(labels: ArrayLike, max_prob: ArrayLike, predicted: ArrayLike) -> float:
    """Returns the ECE of the yes/no prediction as the paper's code computes it; lower is better.

    ECE = sum over bins b of (n_b / n_binned) * |mean(predicted == label)_b - mean(max_prob)_b|

    For comparison with published figures only. Ten equal-width bins [lo, hi), the last one open at 1.0 too: a
    max_prob of exactly 1.0, or NaN, is in no bin and is left out of n_binned without a word. Use
    `expected_calibration_error` for a true figure.

    A float32 `max_prob` is compared with float32 edges and averaged in float32, as the paper's numpy 1.x did;
    anything else is taken as float64. The difference decides where 0.7 falls.

    Args:
        labels: Query labels, 1 where the answer is correct, else 0, shape (n,).
        max_prob: max(p, 1 - p) of P(correct), in [0.5, 1] (not checked from below), shape (n,).
        predicted: argmax of the two probabilities, 1 for yes; 0 where they are equal, shape (n,).

    Returns:
        A difference of probabilities in [0, 1]; NaN when no row is in a bin.

    Raises:
        DataError: Empty, different lengths, labels or predictions not 0 or 1, max_prob outside [0, 1].

    Source: Kapoor et al., arXiv 2406.08391; activatedgeek/calibration-tuning at 2b7a70b.

    Example:
        >>> round(ece_paper([1, 0, 1], [0.75, 0.75, 1.0], [1, 1, 1]), 3)
        0.25
    """
    targets = check_labels(labels)
    choices = check_labels(predicted, "predicted")
    values = _check_max_prob(max_prob)
    check_same_length(labels=targets, max_prob=values, predicted=choices)
    hits = choices == targets
    edges = np.linspace(0.0, 1.0, PAPER_N_BINS + 1).astype(values.dtype)
    weighted_gap, n_binned = 0.0, 0
    for lower, upper in pairwise(edges):
        inside = (values >= lower) & (values < upper)
        n_inside = int(inside.sum())
        if n_inside:
            weighted_gap += n_inside * abs(float(hits[inside].mean()) - float(values[inside].mean()))
            n_binned += n_inside
    return weighted_gap / n_binned if n_binned else float("nan")
