import math

from hypothesis import given
from hypothesis import strategies as st
import pytest

from raycalib.judging.judge_quality import corrected_accuracy, judge_quality, wilson_interval


def test_by_hand() -> None:
    truth = [1] * 10 + [0] * 5
    verdicts = [1] * 8 + [0, None] + [0] * 3 + [1, None]
    quality = judge_quality(truth, verdicts)
    assert (quality.sensitivity.value, quality.sensitivity.n) == (pytest.approx(8 / 9), 9)
    assert (quality.specificity.value, quality.specificity.n) == (0.75, 4)
    assert quality.n_unscored == 2


def test_wilson_by_hand() -> None:
    # z = 1.96: (0.5 ± 1.96·sqrt(0.25/100 + 3.8416/40000) / (1 + 0.038416)) about 0.5
    share = wilson_interval(50, 100)
    half = 1.959964 * math.sqrt(0.25 / 100 + 1.959964**2 / 40_000) / (1 + 1.959964**2 / 100)
    assert share[:3] == pytest.approx((0.5, 0.5 - half, 0.5 + half), abs=1e-6)
    assert wilson_interval(0, 10).low == 0
    assert wilson_interval(10, 10).high == 1
    assert math.isnan(wilson_interval(0, 0).value)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_ends_of_the_interval_solve_the_score_equation(pair: tuple[int, int]) -> None:
    k, n = pair
    share = wilson_interval(k, n)
    assert 0 <= share.low <= share.value <= share.high <= 1
    for end in (share.low, share.high):  # |p - end| = z · sqrt(end (1 - end) / n)
        if 0 < end < 1:
            assert abs(k / n - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / n), abs=1e-6)


@given(st.floats(0, 1), st.floats(0.55, 1), st.floats(0.55, 1))
def test_correcting_undoes_the_judges_errors(true: float, sensitivity: float, specificity: float) -> None:
    observed = true * sensitivity + (1 - true) * (1 - specificity)
    assert corrected_accuracy(observed, sensitivity, specificity) == pytest.approx(true, abs=1e-9)


def test_corrections_stay_shares_and_chance_is_refused() -> None:
    assert corrected_accuracy(0.05, 0.9, 0.9) == 0
    assert corrected_accuracy(0.95, 0.9, 0.9) == 1
    assert corrected_accuracy(0.3, 1.0, 1.0) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="no better than chance"):
        corrected_accuracy(0.5, 0.5, 0.5)
