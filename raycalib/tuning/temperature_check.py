"""Temperatures that may be used: fitted on enough labels of both classes, with an optimum of their own."""

from collections.abc import Callable
from dataclasses import dataclass
import math

import numpy as np

from raycalib.tuning.label_counts import LEAST_TO_FIT, LabelCounts
from raycalib.tuning.platt import SHIFT_LIMIT, Platt
from raycalib.tuning.temperature import LOG_TEMPERATURE_LIMIT, Temperature, fit_temperature


@dataclass(frozen=True, kw_only=True)
class CheckedTemperature:
    """A temperature, or why there is none.

    Attributes:
        n: rows that it was fitted on, or would have been.
        fitted: None where it may not be used.
        reason: why; empty where it may.
    """

    n: int
    fitted: Temperature | None
    reason: str = ""


def fit_checked(
    margin: np.ndarray, labels: np.ndarray, fit: Callable[[np.ndarray, np.ndarray], Temperature] = fit_temperature
) -> CheckedTemperature:
    """The temperature with the least NLL, where the rows determine one.

    They do not where there are fewer than ``LEAST_TO_FIT``, where all labels are of one class (any T that is small
    enough does better still), or where the optimum lies beyond a limit of T: the margins then separate the classes
    without fault, or order them no better than chance.

    Args:
        margin: (n,) finite log-odds that the answer is correct; n may be 0.
        labels: (n,) 0 or 1.
        fit: ``fit_temperature``, or ``fit_platt`` for a shift beside the temperature.
    """
    counts = LabelCounts.of(labels)
    reason = counts.nothing_said("calibration labels")
    if not reason and counts.n < LEAST_TO_FIT:
        reason = f"{counts.n} calibration rows, fewer than {LEAST_TO_FIT}"
    if reason:
        return CheckedTemperature(n=counts.n, fitted=None, reason=reason)
    fitted = fit(margin, labels)
    reason = _fault(fitted)
    return CheckedTemperature(n=counts.n, fitted=None if reason else fitted, reason=reason)


def _fault(fitted: Temperature) -> str:
    if not math.isfinite(fitted.nll_before) or not math.isfinite(fitted.nll_after):
        return f"the NLL of {fitted.n} calibration rows is not finite"
    if fitted.log_temperature <= -LOG_TEMPERATURE_LIMIT:
        return f"T ended at its lower bound ({fitted.value:.4f}): the margins separate all {fitted.n} calibration rows"
    if fitted.log_temperature >= LOG_TEMPERATURE_LIMIT:
        return (
            f"T ended at its upper bound ({fitted.value:.0f}): the margins order the {fitted.n} calibration rows no "
            "better than chance"
        )
    if isinstance(fitted, Platt) and abs(fitted.shift) > SHIFT_LIMIT:
        return f"the shift is {fitted.shift:.0f}: the margins of the {fitted.n} calibration rows lie too far from 0"
    return ""
