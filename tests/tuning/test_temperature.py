import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

from raycalib.errors import DataError
from raycalib.metrics import auroc, nll_from_logits
from raycalib.tuning.temperature import LOG_TEMPERATURE_LIMIT, fit_temperature

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def drawn(seed: int, scale: float, n: int = 300) -> tuple[FloatArray, IntArray]:
    """Margins that are too extreme by ``scale``, and labels drawn from the true ones."""
    generator = np.random.default_rng(seed)
    true = generator.normal(0.5, 1.5, n)
    return true * scale, (generator.random(n) < expit(true)).astype(np.int64)


def nll_at(log_temperature: float, margin: FloatArray, labels: IntArray) -> float:
    scaled = margin / math.exp(log_temperature)
    return float(np.mean(np.logaddexp(0, scaled) - labels * scaled))


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_optimum_is_found(seed: int, scale: float) -> None:
    margin, labels = drawn(seed, scale)
    fitted = fit_temperature(margin, labels)
    best = minimize_scalar(nll_at, bounds=(-6, 6), args=(margin, labels), method="bounded", options={"xatol": 1e-9})
    assert fitted.log_temperature == pytest.approx(best.x, abs=1e-4)
    assert fitted.nll_after == pytest.approx(best.fun, abs=1e-10)


def test_scaling_the_margins_scales_the_temperature() -> None:
    margin, labels = drawn(2, 1.0)
    one, ten = fit_temperature(margin, labels), fit_temperature(10 * margin, labels)
    assert ten.log_temperature - one.log_temperature == pytest.approx(math.log(10), abs=1e-5)


def test_written_out() -> None:
    # Three of four answers at ±4 are right, so 1 / (1 + exp(-4 / T)) = 3/4 and T = 4 / log 3.
    margin, labels = np.array([4.0, 4.0, 4.0, 4.0, -4.0, -4.0, -4.0, -4.0]), np.array([1, 1, 1, 0, 0, 0, 0, 1])
    fitted = fit_temperature(margin, labels)
    assert fitted.value == pytest.approx(4 / math.log(3), rel=1e-6)
    assert fitted.n == 8
    assert fitted.nll_before == pytest.approx(math.log1p(math.exp(-4)) + 4 / 4, rel=1e-12)
    assert fitted.nll_after == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)), rel=1e-9)


def test_calibrated_margins_stay() -> None:
    margin, labels = np.full(4, math.log(3)), np.array([1, 1, 1, 0])
    assert fit_temperature(margin, labels).log_temperature == pytest.approx(0, abs=1e-6)


def test_auroc_is_exactly_the_same() -> None:
    for seed in range(5):
        margin, labels = drawn(seed, 7.0)
        margin = np.round(margin, 1)  # with ties
        scaled = fit_temperature(margin, labels).apply(margin)
        assert auroc(labels, scaled) == auroc(labels, margin)


def test_apply_divides_by_the_temperature() -> None:
    fitted = fit_temperature(*drawn(0, 5.0))
    np.testing.assert_allclose(fitted.apply(np.array([-1.0, 0.0, 2.0])) * fitted.value, [-1, 0, 2], rtol=1e-15)


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.integers(0, 1)), min_size=1, max_size=30),
)
def test_nll_is_never_worse_and_the_limits_hold(rows: list[tuple[float, int]]) -> None:
    margin, labels = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    fitted = fit_temperature(margin, labels)
    assert fitted.nll_after <= fitted.nll_before + 1e-12
    assert abs(fitted.log_temperature) <= LOG_TEMPERATURE_LIMIT
    # The library's own NLL of the scaled margins, where they do not overflow its checks.
    assert fitted.nll_after == pytest.approx(float(nll_from_logits(labels, fitted.apply(margin))), rel=1e-9, abs=1e-12)


def test_margins_that_say_the_opposite_are_flattened() -> None:
    fitted = fit_temperature(np.array([3.0, 2.0, -2.0, -3.0]), np.array([0, 0, 1, 1]))
    assert fitted.log_temperature > 3
    assert fitted.nll_after == pytest.approx(math.log(2), abs=0.05)


def test_perfect_margins_do_not_run_away() -> None:
    fitted = fit_temperature(np.array([3.0, 2.0, -2.0, -3.0]), np.array([1, 1, 0, 0]))
    assert -LOG_TEMPERATURE_LIMIT <= fitted.log_temperature < 0
    assert fitted.nll_after < 1e-4


def test_one_row_and_single_precision() -> None:
    fitted = fit_temperature(np.array([1.0], dtype=np.float32), np.array([1], dtype=np.int8))
    assert fitted.n == 1
    assert fitted.nll_before == pytest.approx(math.log1p(math.exp(-1)), rel=1e-12)


@pytest.mark.parametrize(
    ("margin", "labels"),
    [([], []), ([1.0, 2.0], [1]), ([[1.0], [2.0]], [[1], [0]])],
    ids=["empty", "unequal", "matrix"],
)
def test_vectors_that_do_not_pair_are_refused(margin: list[float], labels: list[int]) -> None:
    with pytest.raises(DataError, match="expected two equally long, non-empty vectors"):
        fit_temperature(np.array(margin), np.array(labels))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_margins_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(DataError, match="a margin is not finite"):
        fit_temperature(np.array([0.0, bad]), np.array([1, 0]))
