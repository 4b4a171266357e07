import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from raycalib.metrics import brier_score


def test_written_out() -> None:
    expected = ((0.9 - 1) ** 2 + (0.6 - 0) ** 2 + (0.2 - 0) ** 2) / 3
    assert brier_score([1, 0, 0], [0.9, 0.6, 0.2]) == pytest.approx(expected, abs=1e-15)


def test_limits() -> None:
    assert brier_score([1, 0], [1.0, 0.0]) == 0.0
    assert brier_score([1, 0], [0.0, 1.0]) == 1.0
    assert brier_score([1, 0, 0], [0.5] * 3) == 0.25


def test_order_and_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    confidence, labels = generator.random(100), generator.integers(0, 2, 100)
    shuffled = generator.permutation(100)
    value = brier_score(labels, confidence)
    assert value == pytest.approx(brier_score(labels[shuffled], confidence[shuffled]), abs=1e-14)
    assert value == pytest.approx(brier_score_loss(labels, confidence), abs=1e-14)
