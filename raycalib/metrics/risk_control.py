"""Which confidence to ask for, so that of the answers that have it at most a given share are wrong: Learn then Test."""

from dataclasses import dataclass
import math

import numpy as np

from raycalib.errors import DataError
from raycalib.metrics.array_checks import check_labels

STARTS = 5
"""Sequences of tests, each with its part of delta: one alone would end at the first chance error among few answers."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A threshold and what it promises.

    Attributes:
        value: the least confidence that is kept, in [0, 1]; None where none promises it.
        n: calibration answers.
        n_kept, n_wrong: of them, at the threshold.
    """

    value: float | None
    n: int
    n_kept: int
    n_wrong: int


def certified_threshold(
    confidence: np.ndarray, labels: np.ndarray, max_risk: float, delta: float = 0.05, n_starts: int = STARTS
) -> Threshold:
    """The lowest threshold of which the share of wrong answers among those kept is at most ``max_risk``, with
    probability 1 - ``delta`` over the calibration answers.

    Thresholds are tested from high to low, each by the exact binomial tail: kept are the m most confident answers, and
    their cut lies just above the next one, so that those above it are drawn from all that the threshold keeps. Several
    sequences begin at different m with an equal part of ``delta``, and each ends at its first test that does not
    reject (fixed sequence testing with several starts). The confidence may have been fitted on the same answers by a
    monotone scale of one signal alone, which changes no order.

    Args:
        confidence: (n,) in [0, 1]; n may be 0.
        labels: (n,) 0 (wrong) or 1 (right).
        max_risk: in (0, 1).
        delta: in (0, 1).
        n_starts: of the sequences.

    Raises:
        DataError: a value is out of its range.

    Source: Angelopoulos et al. 2021, arXiv 2110.01052, sections 2.2 and 3, algorithm 1.
    """
    values = _checked(confidence, max_risk, delta)
    if not len(values) and not len(labels):
        return Threshold(value=None, n=0, n_kept=0, n_wrong=0)
    right = check_labels(labels, "risk: labels")
    if values.shape != right.shape:
        raise DataError(f"risk: {values.shape} confidences and {right.shape} labels; one of each per answer")
    order = np.argsort(-values, kind="stable")
    ordered, wrong = values[order], np.cumsum(1 - right[order])
    n = len(ordered)
    ends = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True)) + 1
    part, table = delta / n_starts, _log_factorials(n)
    fewest = math.ceil(math.log(part) / math.log1p(-max_risk))
    best = 0
    for start in np.linspace(fewest, n, n_starts) if n >= fewest else ():
        for m in ends[np.searchsorted(ends, math.floor(start)) :]:
            if binomial_tail(int(wrong[m - 1]), int(m), max_risk, table) > part:
                break
            best = max(best, int(m))
    if not best:
        return Threshold(value=None, n=n, n_kept=0, n_wrong=0)
    cut = 0.0 if best == n else float(np.nextafter(ordered[best], 1))
    return Threshold(value=cut, n=n, n_kept=best, n_wrong=int(wrong[best - 1]))


def binomial_tail(n_wrong: int, n: int, risk: float, log_factorials: np.ndarray | None = None) -> float:
    """P(at most so many of n are wrong) where each is with that probability, in (0, 1).

    Args:
        n_wrong: at least 0.
        n: of all.
        risk: of each.
        log_factorials: (at least n + 1,) of 0, 1, 2, …, where many tails are asked for.

    >>> round(binomial_tail(1, 3, 0.5), 6)
    0.5
    """
    if n_wrong >= n:
        return 1.0
    table = _log_factorials(n) if log_factorials is None else log_factorials
    k = np.arange(n_wrong + 1)
    logs = table[n] - table[k] - table[n - k] + k * math.log(risk) + (n - k) * math.log1p(-risk)
    return float(min(1.0, np.exp(logs).sum()))


def _log_factorials(n: int) -> np.ndarray:
    return np.concatenate([np.zeros(1), np.cumsum(np.log(np.arange(1, n + 1)))])


def _checked(confidence: np.ndarray, max_risk: float, delta: float) -> np.ndarray:
    values = np.asarray(confidence, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise DataError("risk: confidences are a vector of numbers from 0 to 1")
    for name, value in (("max_risk", max_risk), ("delta", delta)):
        if not 0 < value < 1:
            raise DataError(f"risk: {name} is {value}; above 0 and below 1")
    return values
