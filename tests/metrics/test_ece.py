from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from raycalib.metrics import expected_calibration_error, reliability_bins

BINNINGS: list[Any] = ["equal_mass", "equal_width"]


def test_written_out_equal_width() -> None:
    labels = [1, 0, 1, 1, 0]
    confidence = [0.1, 0.3, 0.6, 0.8, 1.0]
    # Lower bin: accuracy 1/2, confidence 0.2. Upper bin: accuracy 2/3, confidence 0.8.
    expected = 2 / 5 * abs(1 / 2 - 0.2) + 3 / 5 * abs(2 / 3 - 0.8)
    value = expected_calibration_error(labels, confidence, n_bins=2, binning="equal_width")
    assert value == pytest.approx(expected, abs=1e-15)


def test_written_out_equal_mass() -> None:
    labels = [1, 0, 1, 1]
    confidence = [0.9, 0.6, 0.8, 0.7]
    # Sorted: 0.6, 0.7 | 0.8, 0.9 with labels 0, 1 | 1, 1.
    expected = 1 / 2 * abs(1 / 2 - 0.65) + 1 / 2 * abs(1 - 0.85)
    assert expected_calibration_error(labels, confidence, n_bins=2) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("binning", BINNINGS)
def test_certain_rows_are_counted(binning: Any) -> None:
    assert expected_calibration_error([0, 0], [1.0, 1.0], binning=binning) == 1.0
    assert expected_calibration_error([1, 1], [0.0, 0.0], binning=binning) == 1.0
    assert expected_calibration_error([0, 1], [0.0, 1.0], binning=binning) == 0.0
    assert reliability_bins([0, 1], [0.0, 1.0], binning=binning).count.sum() == 2


@pytest.mark.parametrize("binning", BINNINGS)
def test_zero_for_perfect_calibration(binning: Any) -> None:
    # Ten rows at each k / 10, of which k are correct.
    confidence = np.repeat(np.arange(11) / 10, 10)
    labels = np.concatenate([np.arange(10) < k for k in range(11)])
    value = expected_calibration_error(labels, confidence, n_bins=11, binning=binning)
    assert value == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("binning", BINNINGS)
def test_row_order_does_not_matter(binning: Any) -> None:
    generator = np.random.default_rng(5)
    confidence = generator.integers(0, 21, 200) / 20
    labels = generator.integers(0, 2, 200)
    value = expected_calibration_error(labels, confidence, binning=binning)
    for _ in range(5):
        shuffled = generator.permutation(200)
        again = expected_calibration_error(labels[shuffled], confidence[shuffled], binning=binning)
        assert again == pytest.approx(value, abs=1e-14)


def test_one_bin_is_the_gap_of_the_means() -> None:
    assert expected_calibration_error([1, 0, 0], [0.9, 0.8, 0.1], n_bins=1) == pytest.approx(0.6 - 1 / 3)


@pytest.mark.parametrize("binning", BINNINGS)
def test_the_bins_add_up_to_the_error(binning: Any) -> None:
    generator = np.random.default_rng(6)
    confidence = generator.random(100)
    labels = generator.integers(0, 2, 100)
    bins = reliability_bins(labels, confidence, binning=binning)
    assert bins.count.sum() == 100
    gaps = np.abs(bins.accuracy - bins.mean_confidence)
    total = np.nansum(bins.count / 100 * gaps)
    assert total == pytest.approx(expected_calibration_error(labels, confidence, binning=binning), abs=1e-14)


def test_edges_and_empty_bins() -> None:
    wide = reliability_bins([1, 0], [0.1, 0.9], n_bins=4, binning="equal_width")
    assert wide.count.tolist() == [1, 0, 0, 1]
    assert wide.lower.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert wide.upper.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert np.isnan(wide.accuracy).tolist() == [False, True, True, False]
    # The tie holds sorted positions 2 to 4 of 5; its middle, 3, is in the second third.
    mass = reliability_bins([1, 0, 1, 0, 1], [0.1, 0.2, 0.6, 0.6, 0.6], n_bins=3)
    assert mass.count.tolist() == [2, 3, 0]
    assert mass.lower[:2].tolist() == [0.1, 0.6]
    assert mass.upper[:2].tolist() == [0.2, 0.6]
    assert np.isnan([mass.lower[2], mass.upper[2], mass.mean_confidence[2]]).all()


def test_scikit_learn_has_the_same_diagram() -> None:
    generator = np.random.default_rng(7)
    confidence = generator.random(300)
    labels = (generator.random(300) < confidence).astype(int)
    bins = reliability_bins(labels, confidence, n_bins=10, binning="equal_width")
    accuracy, mean_confidence = calibration_curve(labels, confidence, n_bins=10)
    assert bins.accuracy == pytest.approx(accuracy)
    assert bins.mean_confidence == pytest.approx(mean_confidence)
