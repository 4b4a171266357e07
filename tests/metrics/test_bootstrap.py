from functools import partial
import math
from typing import Any

import numpy as np
import pytest

from raycalib.errors import DataError
from raycalib.metrics import (
    accuracy,
    auroc,
    bootstrap_interval,
    brier_score,
    expected_calibration_error,
)


def test_interval_of_a_mean_matches_the_normal_formula() -> None:
    labels = np.arange(400) % 4 == 0
    result = bootstrap_interval(accuracy, [labels], n_resamples=4000)
    half_width = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    # The quantiles of 4,000 resamples scatter by about 0.05 standard errors; 0.005 is 0.23 of them.
    assert result.value == 0.25
    assert result.low == pytest.approx(0.25 - half_width, abs=0.005)
    assert result.high == pytest.approx(0.25 + half_width, abs=0.005)
    assert result.n_resamples_used == 4000


def test_whole_groups_are_drawn() -> None:
    groups = np.repeat([10, 20, 30], [1, 3, 2])
    seen: list[list[int]] = []

    def record(rows: Any) -> float:
        seen.append(np.bincount(rows, minlength=6).tolist())
        return 0.0

    bootstrap_interval(record, [np.arange(6)], groups, n_resamples=50)
    for counts in seen:
        assert counts[1] == counts[2] == counts[3]
        assert counts[4] == counts[5]
        assert counts[0] + counts[1] + counts[4] == 3
    assert len({tuple(counts) for counts in seen}) > 5


def test_copies_of_a_question_do_not_narrow_the_interval() -> None:
    generator = np.random.default_rng(1)
    confidence = generator.random(80)
    labels = (generator.random(80) < confidence).astype(int)
    once = bootstrap_interval(brier_score, [labels, confidence], np.arange(80))
    copied = bootstrap_interval(
        brier_score, [np.repeat(labels, 5), np.repeat(confidence, 5)], np.repeat(np.arange(80), 5)
    )
    assert copied.low == pytest.approx(once.low, abs=1e-12)
    assert copied.high == pytest.approx(once.high, abs=1e-12)


def test_seed_and_row_order() -> None:
    generator = np.random.default_rng(2)
    confidence, labels = generator.random(60), generator.integers(0, 2, 60)
    groups = np.array([f"question {row // 2}" for row in range(60)])
    first = bootstrap_interval(auroc, [labels, confidence], groups, n_resamples=200)
    assert first == bootstrap_interval(auroc, [labels, confidence], groups, n_resamples=200)
    assert first != bootstrap_interval(auroc, [labels, confidence], groups, n_resamples=200, seed=138)
    shuffled = generator.permutation(60)
    again = bootstrap_interval(auroc, [labels[shuffled], confidence[shuffled]], groups[shuffled], n_resamples=200)
    assert (again.low, again.high) == pytest.approx((first.low, first.high), abs=1e-12)


def test_undefined_resamples_are_left_out_and_counted() -> None:
    # Three rows, one correct: (2/3)^3 + (1/3)^3 = 1/3 of the resamples have one class.
    result = bootstrap_interval(auroc, [[1, 0, 0], [0.9, 0.2, 0.1]], n_resamples=3000)
    assert result.n_resamples_used == pytest.approx(2000, abs=130)
    assert (result.value, result.low, result.high) == (1.0, 1.0, 1.0)


def test_nothing_usable_gives_nan_and_not_a_number() -> None:
    result = bootstrap_interval(auroc, [[1, 1], [0.9, 0.2]], n_resamples=10)
    assert math.isnan(result.value)
    assert math.isnan(result.low)
    assert math.isnan(result.high)
    assert result.n_resamples_used == 0


def test_a_single_group_cannot_be_resampled() -> None:
    result = bootstrap_interval(accuracy, [[1, 0]], ["q", "q"])
    assert result.value == 0.5
    assert math.isnan(result.low)
    assert result.n_resamples_used == 0


def test_a_higher_level_is_wider_and_options_are_bound() -> None:
    generator = np.random.default_rng(3)
    confidence, labels = generator.random(100), generator.integers(0, 2, 100)
    metric = partial(expected_calibration_error, n_bins=5)
    narrow = bootstrap_interval(metric, [labels, confidence], level=0.5, n_resamples=200)
    wide = bootstrap_interval(metric, [labels, confidence], level=0.99, n_resamples=200)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.value == metric(labels, confidence)


@pytest.mark.parametrize(
    ("arrays", "options", "match"),
    [
        ([[1, 0]], {"level": 1.0}, "level"),
        ([[1, 0]], {"n_resamples": 0}, "n_resamples"),
        ([], {}, "arrays"),
        ([1], {}, "arrays"),
        ([[]], {}, "at least one row"),
        ([[1, 0], [0.5]], {}, "one length"),
    ],
)
def test_refuses(arrays: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(DataError, match=match):
        bootstrap_interval(accuracy, arrays, **options)
