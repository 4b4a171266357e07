"""Temperature scaling: one scalar that makes a query's confidence true on average."""

from collections.abc import Callable
from dataclasses import dataclass
import math

import numpy as np
import torch
from torch.nn import functional

from raycalib.errors import DataError
from raycalib.metrics.array_checks import check_labels

LOG_TEMPERATURE_LIMIT = 6.0
"""T stays between e^-6 and e^6, 0.0025 and 403."""

HALVINGS = 50


@dataclass(frozen=True)
class Temperature:
    """``logits / exp(log_temperature)``; stored as a logarithm so that it cannot cross zero.

    Attributes:
        log_temperature: natural logarithm of T.
        n: rows it was fitted on.
        nll_before, nll_after: mean negative log-likelihood on those rows in nats.
    """

    log_temperature: float
    n: int
    nll_before: float
    nll_after: float

    @property
    def value(self) -> float:
        """T > 0; above 1 it makes confidences less extreme."""
        return math.exp(self.log_temperature)

    def apply(self, margin: np.ndarray) -> np.ndarray:
        """Log-odds divided by T, shape unchanged.

        The order stays, and so does AUROC to the last bit, unless values differ in the last bits of a float64, which
        division may make equal; differences of float32 logits do not.
        """
        scaled: np.ndarray = np.asarray(margin, dtype=np.float64) / self.value
        return scaled

    def confidence(self, margin: np.ndarray) -> np.ndarray:
        """P(correct) in [0, 1] of log-odds, shape unchanged: 1 / (1 + e^-(margin / T)), without overflow."""
        scaled = self.apply(margin)
        small = np.exp(-np.abs(scaled))
        confidence: np.ndarray = np.where(scaled >= 0, 1.0, small) / (1 + small)
        return confidence


def fit_temperature(margin: np.ndarray, labels: np.ndarray) -> Temperature:
    """The temperature with the least NLL, by halving the interval in which its slope changes sign, in float64.

    The NLL is convex in 1/T, so there is one optimum, if any. It lies at no finite T above 0, and the nearest limit of
    ``LOG_TEMPERATURE_LIMIT`` is taken, where

    - every margin points to its label, as those of one class may: the lower limit,
    - the margins say no more than chance, or the opposite: the upper limit.

    An optimum beyond a limit gives the limit too. If all margins are 0, T is 1, since every T does the same.

    Args:
        margin: (n,) log-odds that the answer is correct (logit of yes minus logit of no).
        labels: (n,) 0 or 1.

    Returns:
        T within 1e-9 of the optimum between the limits, relatively.

    Raises:
        DataError: no rows, unequal lengths, a margin that is not finite, or a label other than 0 and 1.

    Source: Guo et al. 2017, arXiv 1706.04599, section 4.2.
    """
    margins, rights = checked_margins(margin, labels)
    toward_label = margins * (2.0 * rights - 1)
    best = _best_log_temperature(toward_label)
    return Temperature(
        log_temperature=best,
        n=len(margins),
        nll_before=_nll(toward_label, 0.0),
        nll_after=_nll(toward_label, best),
    )


def checked_margins(margin: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) log-odds and (n,) labels in float64, n above 0.

    Raises:
        DataError: see ``fit_temperature``.
    """
    margins, shape = torch.as_tensor(np.asarray(margin, dtype=np.float64)), np.shape(labels)
    if margins.ndim != 1 or tuple(margins.shape) != shape or not len(margins):
        raise DataError(
            f"temperature: expected two equally long, non-empty vectors, got {tuple(margins.shape)} and {shape}"
        )
    if not bool(torch.isfinite(margins).all()):
        raise DataError("temperature: a margin is not finite; leave unscored rows out")
    return margins, torch.as_tensor(1.0 * check_labels(labels, "temperature: labels"))


def _nll(toward_label: torch.Tensor, log_temperature: float) -> float:
    """Mean NLL in nats of (n,) margins in favour of each row's label, divided by T."""
    nll: float = -functional.logsigmoid(toward_label * math.exp(-log_temperature)).mean().item()
    return nll


def _best_log_temperature(toward_label: torch.Tensor) -> float:
    if not bool(toward_label.any()):
        return 0.0

    def too_high(log_temperature: float) -> bool:
        """Whether the NLL falls, or has come down to 0 in float64, as T falls."""
        slope = torch.dot(toward_label, torch.sigmoid(toward_label * -math.exp(-log_temperature)))
        return slope.item() >= 0

    return halved(too_high, LOG_TEMPERATURE_LIMIT, HALVINGS)


def halved(too_high: Callable[[float], bool], limit: float, halvings: int) -> float:
    """Where a value begins to be too high, between -limit and limit; a limit where it begins beyond."""
    low, high = -limit, limit
    if too_high(low):
        return low
    if not too_high(high):
        return high
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (low, middle) if too_high(middle) else (middle, high)
    return (low + high) / 2
