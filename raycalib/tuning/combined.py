"""What several methods say together: a weighted sum of their log-odds, fitted on one half of the calibration rows.

The other half is left for the temperature and for what a threshold promises: rows that weights were fitted on would
promise too much.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raycalib.errors import DataError
from raycalib.hashing import text_hash
from raycalib.tuning.label_counts import LEAST_TO_FIT, LabelCounts

FEWEST_SIGNALS = 2
RIDGE = 1.0
"""Of the weights of standardized log-odds, beside the summed NLL: signals that say the same share their weight."""
MOST_STEPS, CLOSE = 100, 1e-12


@dataclass(frozen=True, kw_only=True)
class Combined:
    """Weights of methods.

    Attributes:
        signals: names of k methods.
        weights: (k,) of their log-odds.
        shift: log-odds that are added.
        n: rows that they were fitted on.
    """

    signals: tuple[str, ...]
    weights: tuple[float, ...]
    shift: float
    n: int

    def log_odds(self, margins: np.ndarray) -> np.ndarray:
        """(n,) log-odds of (n, k) those of the signals; NaN where one of them is."""
        # Signal by signal: a row's last bits then never hang on how many rows are read with it.
        found = np.full(len(margins), self.shift)
        for weight, column in zip(self.weights, margins.T, strict=True):
            found += weight * column
        return found


def fitting_half(groups: Sequence[str]) -> np.ndarray:
    """(n,) whether a row is of the half that weights are fitted on; rows of one group are always together.

    >>> fitting_half(["a", "b", "a"]).tolist() in ([True, False, True], [False, True, False])
    True
    """
    ordered = sorted(set(groups), key=lambda group: (text_hash(group), group))
    first = set(ordered[: len(ordered) // 2])
    return np.array([group in first for group in groups], dtype=bool)


def fit_combined(signals: Sequence[str], margins: np.ndarray, labels: np.ndarray) -> Combined:
    """Logistic regression on the signals' log-odds, by Newton's method in float64.

    Args:
        signals: names of the k methods.
        margins: (n, k) finite log-odds.
        labels: (n,) 0 or 1.

    Raises:
        DataError: there are fewer than two signals, too few rows, or rows of one class alone.
    """
    if len(signals) < FEWEST_SIGNALS:
        found = f"{signals[0]} alone" if signals else "none"
        raise DataError(f"at least {FEWEST_SIGNALS} tuned methods are combined, and there is {found}")
    counts = LabelCounts.of(labels)
    if reason := counts.nothing_said("calibration labels of the half that it is fitted on"):
        raise DataError(reason)
    if counts.n < LEAST_TO_FIT:
        raise DataError(f"{counts.n} calibration rows in the half that it is fitted on, fewer than {LEAST_TO_FIT}")
    mean, spread = margins.mean(axis=0), margins.std(axis=0)
    spread[spread == 0] = 1.0
    fitted = _newton(np.column_stack([(margins - mean) / spread, np.ones(len(margins))]), labels)
    weights = fitted[:-1] / spread
    return Combined(
        signals=tuple(signals),
        weights=tuple(weights.tolist()),
        shift=float(fitted[-1] - (weights * mean).sum()),
        n=len(labels),
    )


def _newton(columns: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(k,) weights of (n, k) columns with the least NLL and ridge; the last column's has no ridge."""
    ridge = np.full(columns.shape[1], RIDGE)
    ridge[-1] = 0.0
    signs, weights = 2.0 * labels - 1, np.zeros(columns.shape[1])

    def loss(at: np.ndarray) -> float:
        return float(np.logaddexp(0, -signs * (columns @ at)).sum() + (ridge * at**2).sum() / 2)

    for _ in range(MOST_STEPS):
        right = 1 / (1 + np.exp(-np.clip(columns @ weights, -700, 700)))
        slope = columns.T @ (right - labels) + ridge * weights
        curve = (columns * (right * (1 - right))[:, None]).T @ columns + np.diag(ridge)
        step = np.linalg.lstsq(curve, slope, rcond=None)[0]
        before, size = loss(weights), 1.0
        while loss(weights - size * step) > before and size > CLOSE:
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < CLOSE * (1 + np.abs(weights).max()):
            break
    return weights
