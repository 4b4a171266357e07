"""Platt scaling: a temperature and a shift, for confidences whose mean is off as well as their spread."""

from dataclasses import asdict, dataclass
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from raycalib.tuning.temperature import (
    HALVINGS,
    LOG_TEMPERATURE_LIMIT,
    Temperature,
    checked_margins,
    fit_temperature,
    halved,
)

SHIFT_LIMIT = 1000.0
"""In nats; a shift beyond is none to be used."""
SHIFT_HALVINGS = 60
BESIDE, FARTHEST = 50.0, 1e300
"""The best shift lies so far beyond the log-odds at most, where the mean confidence is 0 or 1 in float64."""


@dataclass(frozen=True)
class Platt(Temperature):
    """``logits / exp(log_temperature) + shift``: as a temperature above 0 it keeps the order of answers.

    Attributes:
        shift: log-odds that are added once the logits are divided.
    """

    shift: float = 0.0

    def apply(self, margin: np.ndarray) -> np.ndarray:
        """Log-odds divided by T, and shifted; shape unchanged."""
        shifted: np.ndarray = super().apply(margin) + self.shift
        return shifted


def fit_platt(margin: np.ndarray, labels: np.ndarray) -> Platt:
    """The temperature and shift with the least NLL together, in float64.

    The NLL is convex in 1/T and the shift together. For each T the best shift is where the mean confidence is the share
    of right answers; T is then found by halving, as ``fit_temperature`` does, with the same limits. No label is
    smoothed, unlike in Platt's paper: enough rows are asked for in its place (``fit_checked``).

    Args:
        margin: (n,) log-odds that the answer is correct.
        labels: (n,) 0 or 1, of both classes.

    Raises:
        DataError: no rows, unequal lengths, a margin that is not finite, or a label other than 0 and 1.

    Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines", section 2; Guo et al. 2017, arXiv
    1706.04599, section 4.
    """
    margins, rights = checked_margins(margin, labels)
    signs, unshifted = 2 * rights - 1, fit_temperature(margin, labels)
    best = _best_log_temperature(margins, signs)
    scaled = margins * math.exp(-best)
    shift = _best_shift(scaled, signs)
    nll = -functional.logsigmoid((scaled + shift) * signs).mean().item()
    return Platt(**asdict(unshifted) | {"log_temperature": best, "nll_after": nll}, shift=shift)


def _best_log_temperature(margins: Tensor, signs: Tensor) -> float:
    def too_high(log_temperature: float) -> bool:
        """Whether the NLL, with the best shift of each T, falls as T falls."""
        scaled = margins * math.exp(-log_temperature)
        toward_label = (scaled + _best_shift(scaled, signs)) * signs  # shifted: at the best shift the slope is the same
        return torch.dot(toward_label, torch.sigmoid(-toward_label)).item() >= 0

    return halved(too_high, LOG_TEMPERATURE_LIMIT, HALVINGS)


def _best_shift(scaled: Tensor, signs: Tensor) -> float:
    """Where as many answers are expected to be right as are."""

    def too_high(shift: float) -> bool:
        return torch.dot(signs, torch.sigmoid((scaled + shift) * -signs)).item() <= 0

    farthest = min(scaled.abs().max().item() + BESIDE, FARTHEST)
    return halved(too_high, farthest, SHIFT_HALVINGS)
