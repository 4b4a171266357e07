"""Weights of several signals: those of scikit-learn, on one half of the rows, whose groups stay together."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from raycalib.errors import DataError
from raycalib.metrics import auroc
from raycalib.tuning.combined import Combined, fit_combined, fitting_half

SIGNALS = ("lora_prompt", "probe")


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two signals of a truth that neither knows whole."""
    draw = np.random.default_rng(seed)
    parts = draw.normal(size=(n, 2))
    labels = draw.random(n) < 1 / (1 + np.exp(-2 * parts.sum(axis=1)))
    return 5 * parts + draw.normal(size=(n, 2)) + (3, -40), labels.astype(int)


def test_the_log_odds_are_the_weighted_sum() -> None:
    found = Combined(signals=SIGNALS, weights=(2.0, 0.5), shift=-1.0, n=9)
    assert found.log_odds(np.array([[1.0, 4.0], [0.0, np.nan]])).tolist() == pytest.approx([3.0, np.nan], nan_ok=True)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_scikit_learns_ridge_on_standardized_signals(seed: int) -> None:
    margins, labels = drawn(300, seed)
    mean, spread = margins.mean(axis=0), margins.std(axis=0)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit((margins - mean) / spread, labels)
    found = fit_combined(SIGNALS, margins, labels)
    assert found.weights == pytest.approx((theirs.coef_[0] / spread).tolist(), rel=1e-4)
    expected = theirs.decision_function((margins - mean) / spread)
    assert found.log_odds(margins) == pytest.approx(expected, abs=1e-4)
    assert auroc(labels, found.log_odds(margins)) > max(auroc(labels, column) for column in margins.T) + 0.05


def test_signals_that_say_the_same_share_their_weight() -> None:
    margins, labels = drawn(300)
    found = fit_combined(SIGNALS, np.column_stack([margins[:, 0]] * 2), labels)
    assert found.weights[0] == pytest.approx(found.weights[1], rel=1e-6)
    constant = fit_combined(SIGNALS, np.column_stack([margins[:, 0], np.full(300, 7.0)]), labels)
    assert constant.weights[1] == pytest.approx(0, abs=1e-9)


def test_a_separated_half_has_weights_that_are_finite() -> None:
    margins = np.column_stack([np.linspace(-900, 900, 60)] * 2)
    found = fit_combined(SIGNALS, margins, (margins[:, 0] > 0).astype(int))
    assert np.isfinite(found.weights).all()
    assert min(found.weights) > 0


@pytest.mark.parametrize(
    ("signals", "n", "labels", "message"),
    [
        ((), 60, None, "at least 2 tuned methods are combined, and there is none"),
        (("probe",), 60, None, "and there is probe alone"),
        (SIGNALS, 49, None, "49 calibration rows in the half that it is fitted on, fewer than 50"),
        (SIGNALS, 60, np.ones(60, dtype=int), "all 60 calibration labels of the half that it is fitted on are 1"),
        (SIGNALS, 0, None, "there are no calibration labels"),
    ],
)
def test_what_says_too_little_fits_nothing(
    signals: tuple[str, ...], n: int, labels: np.ndarray | None, message: str
) -> None:
    margins, drawn_labels = drawn(n)
    with pytest.raises(DataError, match=message):
        fit_combined(signals, margins[:, : len(signals)], drawn_labels if labels is None else labels)


def test_half_of_the_groups_fit_whatever_their_order() -> None:
    groups = [f"g{number % 31}" for number in range(500)]
    half = fitting_half(groups)
    assert 0.4 < half.mean() < 0.6
    by_group = dict(zip(groups, half, strict=True))
    assert all(by_group[group] == is_in for group, is_in in zip(groups, half, strict=True))
    assert sum(by_group.values()) == 15
    assert dict(zip(groups[::-1], fitting_half(groups[::-1]), strict=True)) == by_group
    assert not fitting_half(["one"] * 9).any()
    families = [f"{family}{number}" for family in "ab" for number in range(100)]
    assert 30 < fitting_half(families)[:100].sum() < 70, "names that belong together are in both halves"
