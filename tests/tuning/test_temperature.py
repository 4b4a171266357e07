import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest
from scipy.optimize import brentq, minimize_scalar
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


def slope(temperature: float, margin: FloatArray, labels: IntArray) -> float:
    """The NLL's derivative by 1/T, written out: its zero is the optimum."""
    return float(np.sum(margin * (expit(margin / temperature) - labels)))


def partly_right(generator: np.random.Generator, size: FloatArray, share: float) -> tuple[FloatArray, IntArray]:
    """Margins of these sizes that point to the label in this share of the rows."""
    labels = generator.integers(0, 2, len(size))
    return size * np.where(generator.random(len(size)) < share, 2 * labels - 1, 1 - 2 * labels), labels


def hard_to_fit(shape: str, seed: int) -> tuple[FloatArray, IntArray]:
    generator = np.random.default_rng(seed)
    margin, labels = drawn(seed, 1.0, 400)
    match shape:
        case "calibrated":
            return margin, labels
        case "far too sure":
            return 100 * margin, labels
        case "far too timid":
            return 0.02 * margin, labels
        case "an offset of 8":
            return margin + 8, labels
        case "sizes over ten powers of ten":
            return partly_right(generator, np.exp(generator.normal(0, 2, 400)), 0.9)
        case "one wrong among large ones":
            return np.append(margin, 100), np.append((margin > 0).astype(np.int64), 0)
        case "sizes up to 1e4":
            return partly_right(generator, 1e4 * generator.random(2000), 0.999)
        case "constant":
            return np.full(400, 2.5), (generator.random(400) < 0.7).astype(np.int64)
        case _:
            return margin, np.ones_like(labels)


HARD_SHAPES = [
    "calibrated",
    "far too sure",
    "far too timid",
    "an offset of 8",
    "sizes over ten powers of ten",
    "one wrong among large ones",
    "sizes up to 1e4",
    "constant",
    "one class",
]


@pytest.mark.parametrize("shape", HARD_SHAPES)
def test_the_optimum_is_found_for_shapes_that_are_hard_to_fit(shape: str) -> None:
    low, high = math.exp(-LOG_TEMPERATURE_LIMIT), math.exp(LOG_TEMPERATURE_LIMIT)
    n_within = 0
    for seed in range(25):
        margin, labels = hard_to_fit(shape, seed)
        fitted = fit_temperature(margin, labels)
        if slope(low, margin, labels) > 0 > slope(high, margin, labels):
            optimum = brentq(slope, low, high, args=(margin, labels), xtol=1e-11)
            n_within += 1
        elif slope(low, margin, labels) <= 0:
            optimum = low
        else:
            optimum = high
        assert abs(fitted.value - optimum) < 1e-4, seed
    assert n_within >= 10


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
    for seed in range(20):
        margin, labels = drawn(seed, 7.0, n=20_000)
        single = margin.astype(np.float32) - np.float32(seed)  # logits as a model gives them, with few ties
        for one in (single.astype(np.float64), np.round(margin, 1)):  # and with many
            scaled = fit_temperature(one, labels).apply(one)
            assert auroc(labels, scaled) == auroc(labels, one)


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


def test_where_every_margin_points_to_its_label_the_lower_limit_is_taken() -> None:
    for size in (1e-3, 1.0, 1e4):  # 1e4: the NLL is exactly 0 from T = 1 to the limit
        margin, labels = size * np.array([3.0, 2.0, -2.0, -3.0]), np.array([1, 1, 0, 0])
        assert fit_temperature(margin, labels).log_temperature == -LOG_TEMPERATURE_LIMIT
    assert fit_temperature(np.full(5, 0.3), np.ones(5)).log_temperature == -LOG_TEMPERATURE_LIMIT  # of one class


def test_where_margins_say_the_opposite_or_nothing_the_upper_limit_is_taken() -> None:
    one_class = np.full(5, -0.3), np.ones(5)
    as_many_right_as_wrong = np.array([1e4, 1e4, -1e4, -1e4]), np.array([1, 0, 0, 1])
    for margin, labels in (one_class, as_many_right_as_wrong):
        assert fit_temperature(margin, labels).log_temperature == LOG_TEMPERATURE_LIMIT


def test_an_optimum_beyond_the_limits_gives_the_limit() -> None:
    # Seven of ten right at 1e4: T = 1e4 / log(7/3) = 11,802; at 1e-3: T = 0.0012.
    labels = np.array([1] * 7 + [0] * 3)
    assert fit_temperature(np.full(10, 1e4), labels).log_temperature == LOG_TEMPERATURE_LIMIT
    assert fit_temperature(np.full(10, 1e-3), labels).log_temperature == -LOG_TEMPERATURE_LIMIT


def test_margins_of_zero_keep_temperature_one() -> None:
    fitted = fit_temperature(np.zeros(4), np.array([1, 0, 1, 1]))
    assert fitted.log_temperature == 0
    assert fitted.nll_before == fitted.nll_after == pytest.approx(math.log(2), rel=1e-15)


@pytest.mark.parametrize("label", [2, -1, 0.5, math.nan])
def test_labels_without_a_verdict_are_refused(label: float) -> None:
    with pytest.raises(DataError, match="temperature: labels: expected"):
        fit_temperature(np.array([0.0, 1.0]), np.array([1, label]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_margins_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(DataError, match="a margin is not finite"):
        fit_temperature(np.array([0.0, bad]), np.array([1, 0]))
