"""Selective prediction: the error rate when only the surest share of questions is answered."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from raycalib.metrics.array_checks import FloatArray, check_labels, check_same_length, check_scores
from raycalib.metrics.tied_blocks import tied_blocks


class RiskCoverage(NamedTuple):
    """Points of a risk-coverage curve, surest rows first; all arrays have shape (n,).

    Attributes:
        coverage: Share of rows answered, k / n for k = 1 .. n.
        risk: Share of wrong answers among those answered, in [0, 1].
        threshold: Score of the k-th surest row: answering means score >= threshold.
    """

    coverage: FloatArray
    risk: FloatArray
    threshold: FloatArray


def risk_coverage_curve(labels: ArrayLike, scores: ArrayLike) -> RiskCoverage:
    """Returns the error rate of the k surest answers for every k; lower risk is better.

    risk_k = (wrong answers among the k highest scores) / k, coverage_k = k / n

    Inside a block of tied scores wrong answers count at the block's mean rate, which is the expectation over
    all orders of the tied rows: the curve does not depend on row order.

    Args:
        labels: 1 where the answer is correct, else 0, shape (n,).
        scores: Confidence or any real value, higher = surer, shape (n,).

    Returns:
        Coverage, risk and threshold, each of shape (n,).

    Raises:
        DataError: Empty, NaN, labels other than 0 and 1, or different lengths.

    Source: Geifman and El-Yaniv 2017, arXiv 1705.08500.

    Example:
        >>> risk_coverage_curve([1, 0], [0.9, 0.1]).risk.tolist()
        [0.0, 0.5]
    """
    targets = check_labels(labels)
    values = check_scores(scores)
    check_same_length(labels=targets, scores=values)
    order, starts, sizes = tied_blocks(-values)
    wrong_per_block = np.add.reduceat(1 - targets[order], starts)
    before = np.repeat(np.cumsum(wrong_per_block) - wrong_per_block, sizes)
    position = np.arange(1, len(values) + 1)
    within = (position - np.repeat(starts, sizes)) * np.repeat(wrong_per_block / sizes, sizes)
    return RiskCoverage(coverage=position / len(values), risk=(before + within) / position, threshold=values[order])


def aurc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Returns the area under the risk-coverage curve; lower is better.

    AURC = trapezoidal area of risk over coverage from 1/n to 1, divided by (1 - 1/n)

    This is torch-uncertainty's definition: no risk exists at coverage 0, and the division stretches the
    support to a length of 1. Other code averages risk_k over k instead; the two differ on few rows.

    Args:
        labels: 1 where the answer is correct, else 0, shape (n,).
        scores: Confidence or any real value, higher = surer, shape (n,).

    Returns:
        An average error rate in [0, 1]; the overall error rate for a constant score; NaN for a single row.

    Raises:
        DataError: Empty, NaN, labels other than 0 and 1, or different lengths.

    Source: Geifman and El-Yaniv 2017, arXiv 1705.08500; ENSTA-U2IS-AI/torch-uncertainty at d084675.

    Example:
        >>> round(aurc([1, 0, 1], [0.7, 0.6, 0.8]), 4)
        0.0833
    """
    risk = risk_coverage_curve(labels, scores).risk
    if len(risk) < 2:
        return float("nan")
    return float((risk[1:] + risk[:-1]).mean() / 2)
