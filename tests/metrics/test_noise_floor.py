from functools import partial
import math
from typing import Any

import numpy as np
import pytest

from raycalib.errors import DataError
from raycalib.metrics import auroc, brier_score, calibration_noise_floor, expected_calibration_error
from raycalib.metrics import noise_floor as noise_floor_module


def test_certain_confidences_leave_no_noise() -> None:
    floor = calibration_noise_floor([0.0, 1.0, 1.0], n_draws=20)
    assert (floor.mean, floor.quantile_95, floor.n_draws_used) == (0.0, 0.0, 20)


def test_one_bin_of_coins_written_out() -> None:
    # ECE = |heads / 4 - 1/2| is 0, 1/4, 1/2 with weights 6, 8, 2 of 16: mean 3/16, 95 % quantile 1/2.
    floor = calibration_noise_floor([0.5] * 4, n_draws=20_000)
    # The standard error of the mean is 0.164 / sqrt(20,000) = 0.0012.
    assert floor.mean == pytest.approx(3 / 16, abs=0.005)
    assert floor.quantile_95 == 0.5


def test_more_rows_lower_the_floor() -> None:
    few, many = (calibration_noise_floor(np.linspace(0.1, 0.9, n), n_draws=200) for n in (100, 1600))
    # Four times smaller when noise falls with the square root of n; the ratio's own error is a few percent.
    assert few.mean / many.mean == pytest.approx(4.0, rel=0.15)
    assert few.quantile_95 > few.mean


@pytest.mark.parametrize("options", [{}, {"n_bins": 4}, {"binning": "equal_width", "n_bins": 10}])
def test_bins_computed_once_give_the_same_figures(options: dict[str, Any]) -> None:
    confidence = np.random.default_rng(1).integers(0, 41, 150) / 40
    fast = calibration_noise_floor(confidence, partial(expected_calibration_error, **options), n_draws=50)
    slow = calibration_noise_floor(
        confidence, lambda labels, values: expected_calibration_error(labels, values, **options), n_draws=50
    )
    assert fast.mean == pytest.approx(slow.mean, abs=1e-14)
    assert fast.quantile_95 == pytest.approx(slow.quantile_95, abs=1e-14)


def test_row_order_and_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    confidence = generator.random(50)
    floor = calibration_noise_floor(confidence, n_draws=40)
    assert calibration_noise_floor(generator.permutation(confidence), n_draws=40) == floor
    monkeypatch.setattr(noise_floor_module, "MAX_CELLS_PER_BATCH", 150)
    assert calibration_noise_floor(confidence, n_draws=40) == floor
    assert calibration_noise_floor(confidence, n_draws=40, seed=1) != floor


def test_other_metrics() -> None:
    # For calibrated coins at p the Brier score is p (1 - p) on average.
    floor = calibration_noise_floor([0.2] * 100, brier_score, n_draws=500)
    assert floor.mean == pytest.approx(0.16, abs=0.005)


def test_undefined_draws_are_left_out_and_counted() -> None:
    floor = calibration_noise_floor([0.5, 0.5], auroc, n_draws=400)
    assert floor.n_draws_used == pytest.approx(200, abs=50)
    assert not math.isnan(floor.mean)


def test_refuses() -> None:
    with pytest.raises(DataError, match="n_draws"):
        calibration_noise_floor([0.5], n_draws=0)
    with pytest.raises(DataError, match="NaN on all"):
        calibration_noise_floor([1.0, 1.0], auroc, n_draws=5)
    with pytest.raises(DataError, match="not a logit"):
        calibration_noise_floor([2.0])
