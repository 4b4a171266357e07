import math
from typing import Any

import numpy as np
import pytest

from raycalib.errors import DataError
from raycalib.metrics import ece_paper, expected_calibration_error


def test_written_out() -> None:
    # Bin [0.5, 0.6): two rows, one hit, confidence 0.54. Bin [0.9, 1.0): one row, a miss.
    expected = 2 / 3 * abs(1 / 2 - 0.54) + 1 / 3 * abs(0 - 0.95)
    assert ece_paper([1, 1, 0], [0.52, 0.56, 0.95], [1, 0, 1]) == pytest.approx(expected, abs=1e-15)


def test_leaves_out_confidence_one() -> None:
    assert ece_paper([0, 1], [1.0, 0.6], [1, 1]) == pytest.approx(0.4)
    assert math.isnan(ece_paper([0, 0], [1.0, 1.0], [1, 1]))
    assert expected_calibration_error([0, 0], [1.0, 1.0]) == 1.0


def test_leaves_out_nan_as_the_paper_does() -> None:
    assert ece_paper([1, 0], [np.nan, 0.75], [0, 1]) == pytest.approx(0.75)


def test_float32_edges_decide_where_seven_tenths_falls() -> None:
    # As float32, 0.7 equals the float32 edge; widened to float64 it is 0.699999988 and falls below.
    confidence = np.array([0.65, 0.7], dtype=np.float32)
    labels, predicted = [0, 1], [1, 1]
    apart = (0.65 + 0.3) / 2
    together = abs(0.5 - 0.675)
    assert ece_paper(labels, confidence, predicted) == pytest.approx(apart, abs=1e-6)
    assert ece_paper(labels, confidence.astype(np.float64), predicted) == pytest.approx(together, abs=1e-6)


def test_refuses_what_is_not_a_probability() -> None:
    with pytest.raises(DataError, match="not a logit"):
        ece_paper([1], [2.5], [1])
    with pytest.raises(DataError, match="1-D"):
        ece_paper([1], [[0.5]], [1])
    with pytest.raises(DataError, match="dtype"):
        ece_paper([1], ["0.5"], [1])
    with pytest.raises(DataError, match="predicted"):
        ece_paper([1], [0.5], [2])


def test_equal_probabilities_predict_no() -> None:
    # Confidence 0.5 for all, predicted 0 for all: the labels 0 are the hits, two of five.
    assert ece_paper([0, 1, 1, 0, 1], [0.5] * 5, [0] * 5) == pytest.approx(0.5 - 2 / 5, abs=1e-15)


def test_always_wrong_costs_the_mean_confidence() -> None:
    confidence = [0.55, 0.65, 0.75, 0.85]
    assert ece_paper([1, 1, 0, 0], confidence, [0, 0, 1, 1]) == pytest.approx(0.7, abs=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_as_equal_width_bins_away_from_one(dtype: type[np.floating[Any]]) -> None:
    generator = np.random.default_rng(11)
    confidence = np.asarray(generator.uniform(0.5, 0.999, 300), dtype=dtype)
    labels, predicted = generator.integers(0, 2, 300), generator.integers(0, 2, 300)
    expected = expected_calibration_error(labels == predicted, confidence, n_bins=10, binning="equal_width")
    # float32 means of at most 300 values carry errors of about 1e-7.
    assert ece_paper(labels, confidence, predicted) == pytest.approx(expected, abs=1e-6)
