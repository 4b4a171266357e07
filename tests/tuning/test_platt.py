"""Platt scaling: the best temperature and shift together, by arithmetic, by its slopes and by scikit-learn."""

import math
from pathlib import Path

from hypothesis import given, settings, strategies
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from raycalib.errors import DataError, ModelError
from raycalib.metrics import auroc
from raycalib.storage import Location
from raycalib.tuning.platt import Platt, fit_platt
from raycalib.tuning.temperature import Temperature, fit_temperature
from raycalib.tuning.temperature_check import fit_checked
from raycalib.tuning.temperature_files import load_temperature, save_temperature


def drawn(n: int, seed: int = 0, scale: float = 0.5, shift: float = -1.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds and labels of which the best scale and shift are about these."""
    draw = np.random.default_rng(seed)
    margin = draw.normal(0, 3, n)
    return margin, (draw.random(n) < 1 / (1 + np.exp(-(scale * margin + shift)))).astype(int)


def test_two_confidences_become_their_shares() -> None:
    # Of four answers with the log-odds 4 three are right, of five with 0 one: 4/T + s = log 3 and s = log(1/4).
    margin = np.array([4.0] * 4 + [0.0] * 5)
    found = fit_platt(margin, np.array([1, 1, 1, 0, 1, 0, 0, 0, 0]))
    assert found.shift == pytest.approx(math.log(1 / 4), abs=1e-9)
    assert found.value == pytest.approx(4 / (math.log(3) - math.log(1 / 4)), rel=1e-9)
    assert found.confidence(margin) == pytest.approx([3 / 4] * 4 + [1 / 5] * 5, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_scikit_learns_logistic_regression(seed: int) -> None:
    margin, labels = drawn(400, seed)
    found = fit_platt(margin, labels)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(margin[:, None], labels)
    assert 1 / found.value == pytest.approx(theirs.coef_[0, 0], rel=1e-4)
    assert found.shift == pytest.approx(theirs.intercept_[0], abs=1e-4)
    assert found.confidence(margin) == pytest.approx(theirs.predict_proba(margin[:, None])[:, 1], abs=1e-5)


@settings(max_examples=25)
@given(strategies.integers(0, 10_000), strategies.floats(0.05, 3), strategies.floats(-3, 3))
def test_no_other_scale_or_shift_is_better(seed: int, scale: float, shift: float) -> None:
    margin, labels = drawn(80, seed, scale, shift)
    checked = fit_checked(margin, labels, fit_platt)
    if checked.fitted is None:
        return
    best = checked.fitted
    assert isinstance(best, Platt)
    assert best.nll_before == pytest.approx(nll(Temperature(0.0, 0, 0, 0), margin, labels), rel=1e-9)
    assert best.nll_after == pytest.approx(nll(best, margin, labels), rel=1e-9)
    assert best.nll_after <= fit_temperature(margin, labels).nll_after + 1e-9
    for by in (-0.01, 0.01):
        assert nll(Platt(best.log_temperature + by, 0, 0, 0, best.shift), margin, labels) >= best.nll_after - 1e-12
        assert nll(Platt(best.log_temperature, 0, 0, 0, best.shift + by), margin, labels) >= best.nll_after - 1e-12
    assert best.confidence(margin).mean() == pytest.approx(labels.mean(), abs=1e-9)
    assert auroc(labels, best.apply(margin)) == auroc(labels, margin)


def nll(scaling: Temperature, margin: np.ndarray, labels: np.ndarray) -> float:
    return float(np.logaddexp(0, -scaling.apply(margin) * (2 * labels - 1)).mean())


@pytest.mark.parametrize(("labels", "bound"), [(np.arange(60) >= 40, "lower"), (np.arange(60) < 40, "upper")])
def test_rows_that_determine_none_fit_none(labels: np.ndarray, bound: str) -> None:
    """Separated by a shift alone: every smaller T does better still, wherever the margins lie."""
    for offset in (0.0, -500.0, 500.0):
        found = fit_checked(np.linspace(-3, 3, 60) + offset, labels.astype(int), fit_platt)
        assert found.fitted is None
        assert f"T ended at its {bound} bound" in found.reason


def test_a_shift_that_is_too_far_is_none() -> None:
    margin, labels = drawn(400, shift=0.0)
    found = fit_checked(margin + 5000, labels, fit_platt)
    assert found.fitted is None
    assert "the shift is -2" in found.reason


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(DataError, match="a margin is not finite"):
        fit_platt(np.array([1.0, np.nan]), np.array([0, 1]))


def test_a_saved_one_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    place, found = Location(str(tmp_path)), fit_platt(*drawn(100))
    save_temperature(place, found)
    assert load_temperature(place) == found
    record = place.read_json("temperature.json")
    assert record["shift"] == found.shift
    place.write_json("temperature.json", record | {"shift": 1e6})
    with pytest.raises(ModelError, match=r"shift is 1000000\.0, allowed: -1000\.0 to 1000\.0"):
        load_temperature(place)
    for wrong in ("a lot", None, True):
        place.write_json("temperature.json", record | {"shift": wrong})
        with pytest.raises(ModelError, match="shift"):
            load_temperature(place)
