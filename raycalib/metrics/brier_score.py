"""Brier score: squared distance between confidence and outcome."""

import numpy as np
from numpy.typing import ArrayLike

from raycalib.metrics.array_checks import check_confidence, check_labels, check_same_length


def brier_score(labels: ArrayLike, confidence: ArrayLike) -> float:
    """Returns mean((confidence - label)^2); lower is better.

    The one-class form: a sum over both classes (lm-eval, torch-uncertainty) is twice this.

    Args:
        labels: 1 where the answer is correct, else 0, shape (n,).
        confidence: P(correct) in [0, 1], shape (n,).

    Returns:
        A squared probability in [0, 1]; 0.25 for a constant confidence of 0.5.

    Raises:
        DataError: Empty, NaN, out of range, or different lengths.

    Source: Brier 1950.

    Example:
        >>> brier_score([1, 0], [0.5, 1.0])
        0.625
    """
    targets = check_labels(labels)
    values = check_confidence(confidence)
    check_same_length(labels=targets, confidence=values)
    return float(np.square(values - targets).mean())
