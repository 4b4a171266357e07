"""Thresholds that promise a risk: arithmetic written out, SciPy as a second opinion, and the promise by simulation."""

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.stats import binom

from raycalib.errors import DataError
from raycalib.metrics.risk_control import binomial_tail, certified_threshold


@given(n=st.integers(1, 400), share=st.floats(0, 1), risk=st.floats(0.01, 0.99))
def test_the_tail_is_scipys(n: int, share: float, risk: float) -> None:
    n_wrong = int(share * n)
    assert binomial_tail(n_wrong, n, risk) == pytest.approx(float(binom.cdf(n_wrong, n, risk)), rel=1e-9, abs=1e-12)


def test_one_sequence_ends_at_the_first_answer_too_many() -> None:
    # 29 right answers are the fewest of which a risk of 0.1 can be refused at 0.05: 0.9^29 = 0.0471, 0.9^28 = 0.0523.
    confidence = np.linspace(0.99, 0.5, 50)
    labels = np.ones(50)
    assert certified_threshold(confidence[:28], labels[:28], 0.1, 0.05, 1).value is None
    found = certified_threshold(confidence[:29], labels[:29], 0.1, 0.05, 1)
    assert (found.value, found.n, found.n_kept, found.n_wrong) == (0.0, 29, 29, 0)
    labels[40:] = 0  # 41 with one wrong: 0.9^41 + 41 x 0.1 x 0.9^40 = 0.0739, more than 0.05
    assert pytest.approx(binomial_tail(1, 41, 0.1)) == 0.9**41 + 41 * 0.1 * 0.9**40
    found = certified_threshold(confidence, labels, 0.1, 0.05, 1)
    assert (found.n_kept, found.n_wrong) == (40, 0)
    assert found.value is not None
    assert confidence[40] < found.value <= confidence[39]
    assert (confidence >= found.value).sum() == 40


def test_a_later_start_passes_over_an_early_accident_at_a_smaller_delta() -> None:
    confidence, labels = np.linspace(1, 0, 1000), np.ones(1000)
    labels[5] = 0
    assert certified_threshold(confidence, labels, 0.1, 0.05, 1).value is None, "29 with one wrong is more than 0.05"
    found = certified_threshold(confidence, labels, 0.1, 0.05, 5)
    assert (found.value, found.n_kept, found.n_wrong) == (0.0, 1000, 1)


def test_answers_of_equal_confidence_are_kept_together() -> None:
    confidence = np.repeat([0.9, 0.5], 100)
    labels = np.repeat([1, 0], 100)
    found = certified_threshold(confidence, labels, 0.1)
    assert (found.n_kept, found.n_wrong) == (100, 0)
    assert found.value is not None
    assert 0.5 < found.value <= 0.9
    assert certified_threshold(np.full(200, 0.7), np.repeat([1, 0], 100), 0.4).value is None


def test_none_promises_what_no_answer_bears() -> None:
    assert certified_threshold(np.zeros(0), np.zeros(0), 0.1) == certified_threshold(np.zeros(0), np.zeros(0), 0.5)
    assert certified_threshold(np.linspace(0, 1, 500), np.zeros(500), 0.1).value is None


@pytest.mark.parametrize(
    ("confidence", "labels", "risk", "delta"),
    [
        ([0.5, 1.5], [1, 0], 0.1, 0.05),
        ([0.5, math.nan], [1, 0], 0.1, 0.05),
        ([0.5], [1, 0], 0.1, 0.05),
        ([0.5], [2], 0.1, 0.05),
        ([0.5], [1], 0.0, 0.05),
        ([0.5], [1], 0.1, 1.0),
    ],
)
def test_what_is_out_of_range_is_refused(confidence: list[float], labels: list[int], risk: float, delta: float) -> None:
    with pytest.raises(DataError):
        certified_threshold(np.array(confidence), np.array(labels), risk, delta)


@pytest.mark.parametrize(("max_risk", "slope"), [(0.1, 12.0), (0.2, 6.0), (0.3, 3.0), (0.3, 1.0)])
def test_the_promise_holds_in_95_of_100_redraws(max_risk: float, slope: float) -> None:
    """Answers are right with a probability that grows with their score; of which the true risk above a cut is known."""
    rng = np.random.default_rng(11)
    scores = np.sort(rng.random(400_000))
    p_right = 1 / (1 + np.exp(-slope * (scores - 0.4)))
    risks = np.cumsum((1 - p_right)[::-1])[::-1] / np.arange(len(scores), 0, -1)  # of all from a score on
    broken = certified = 0
    for _ in range(200):
        rows = rng.integers(0, len(scores), 500)
        found = certified_threshold(scores[rows], (rng.random(500) < p_right[rows]).astype(int), max_risk)
        if found.value is not None:
            certified += 1
            broken += risks[min(np.searchsorted(scores, found.value), len(scores) - 1)] > max_risk
    assert broken <= 10
    assert certified > (100 if slope > 1 else -1), "it is not kept by refusing everything"
