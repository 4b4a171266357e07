import re

import numpy as np
import pytest

from raycalib.tuning.temperature import fit_temperature
from raycalib.tuning.temperature_check import fit_checked


def drawn(n: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose right temperature is the scale."""
    generator = np.random.default_rng(1)
    margin = generator.normal(0, 2, n)
    labels = (generator.random(n) < 1 / (1 + np.exp(-margin))).astype(int)
    return margin * scale, labels


def test_enough_rows_of_both_classes_have_the_temperature_of_the_fit() -> None:
    margin, labels = drawn(50, 3.0)
    checked = fit_checked(margin, labels)
    assert (checked.fitted, checked.n, checked.reason) == (fit_temperature(margin, labels), 50, "")


@pytest.mark.parametrize(
    ("margin", "labels", "reason"),
    [
        (np.zeros(0), np.zeros(0), "there are no calibration labels"),
        (*drawn(49), "49 calibration rows, fewer than 50"),
        (np.linspace(-3, 3, 60), np.zeros(60), "all 60 calibration labels are 0"),
        (np.linspace(-3, 3, 60), np.ones(60), "all 60 calibration labels are 1"),
        (np.linspace(-3, 3, 60), np.linspace(-3, 3, 60) > 0, r"T ended at its lower bound \(0.0025\): the margins sep"),
        (np.linspace(-3, 3, 60), np.linspace(-3, 3, 60) < 0, r"T ended at its upper bound \(403\): the margins order"),
        (np.array([1e308, -1e308] * 40), np.array([0, 0, 1, 1] * 20), "the NLL of 80 calibration rows is not finite"),
    ],
)
def test_what_determines_no_temperature_has_a_reason(margin: np.ndarray, labels: np.ndarray, reason: str) -> None:
    checked = fit_checked(margin, labels.astype(int))
    assert checked.fitted is None
    assert checked.n == len(labels)
    assert re.match(reason, checked.reason)
