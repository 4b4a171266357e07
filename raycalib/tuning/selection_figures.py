"""What log-odds say of the rows that a step is chosen by."""

import math
from typing import NamedTuple

import numpy as np
import torch

from raycalib.metrics import auroc, expected_calibration_error
from raycalib.tuning.temperature import fit_temperature


class SelectionFigures(NamedTuple):
    """At the temperature that suits the rows best: NLL in nats, AUROC and ECE in [0, 1]."""

    nll: float
    auroc: float
    ece: float


def selection_figures(margin: np.ndarray, labels: np.ndarray) -> SelectionFigures:
    """The figures of (n,) log-odds that answers are right, with (n,) labels.

    The NLL is infinite and the others are NaN where log-odds are not finite; AUROC is NaN where all labels are alike.
    """
    if not np.isfinite(margin).all():
        return SelectionFigures(math.inf, math.nan, math.nan)
    fitted = fit_temperature(margin, labels)
    confidence = torch.sigmoid(torch.from_numpy(fitted.apply(margin))).numpy()
    return SelectionFigures(
        fitted.nll_after, float(auroc(labels, margin)), expected_calibration_error(labels, confidence)
    )
