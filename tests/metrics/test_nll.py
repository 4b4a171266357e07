import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from raycalib.errors import DataError
from raycalib.metrics import nll, nll_from_logits
from raycalib.metrics.nll import PROBABILITY_FLOOR


def test_written_out() -> None:
    expected = -(math.log(0.9) + math.log(1 - 0.6)) / 2
    assert nll([1, 0], [0.9, 0.6]) == pytest.approx(expected, abs=1e-15)
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2
    assert nll_from_logits([1, 0], [2.0, -1.0]) == pytest.approx(expected, abs=1e-15)


def test_no_information_costs_log_two() -> None:
    assert nll([1, 0], [0.5, 0.5]) == pytest.approx(math.log(2), abs=1e-15)
    assert nll_from_logits([1, 0], [0.0, 0.0]) == pytest.approx(math.log(2), abs=1e-15)


def test_certain_and_right_costs_nothing() -> None:
    value = nll([1, 0], [1.0, 0.0])
    assert value == 0.0
    assert math.copysign(1.0, value) == 1.0


def test_certain_and_wrong_costs_the_floor() -> None:
    assert nll([0, 1], [1.0, 0.0]) == pytest.approx(-math.log(PROBABILITY_FLOOR))


def test_large_margins_neither_overflow_nor_saturate() -> None:
    assert nll_from_logits([0], [1000.0]) == 1000.0
    assert nll_from_logits([1], [1000.0]) == 0.0
    assert nll_from_logits([1], [40.0]) == pytest.approx(math.exp(-40), rel=1e-12)


def test_infinite_margins_are_sent_to_the_floored_form() -> None:
    with pytest.raises(DataError, match="use nll"):
        nll_from_logits([1, 0], [math.inf, 0.0])


def test_both_forms_and_scikit_learn_agree() -> None:
    generator = np.random.default_rng(4)
    margin, labels = generator.normal(0, 3, 100), generator.integers(0, 2, 100)
    confidence = 1 / (1 + np.exp(-margin))
    value = nll(labels, confidence)
    assert value == pytest.approx(nll_from_logits(labels, margin), rel=1e-12)
    assert value == pytest.approx(log_loss(labels, confidence), rel=1e-12)
    shuffled = generator.permutation(100)
    assert value == pytest.approx(nll(labels[shuffled], confidence[shuffled]), rel=1e-12)
