from itertools import permutations
import math

import numpy as np
import pytest

from raycalib.metrics import aurc, risk_coverage_curve


def test_written_out_curve() -> None:
    curve = risk_coverage_curve([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7, 0.1]


def test_written_out_area() -> None:
    risk = [0, 1 / 2, 1 / 3, 2 / 4]
    trapezoids = sum((risk[k] + risk[k + 1]) / 2 * (1 / 4) for k in range(3))
    value = aurc([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
    assert value == pytest.approx(trapezoids / (1 - 1 / 4), abs=1e-15)


def test_torch_uncertaintys_documented_example() -> None:
    assert aurc([1, 0, 1], [0.7, 0.6, 0.8]) == pytest.approx(1 / 12, abs=1e-15)


def test_limits() -> None:
    assert aurc([1, 1, 1], [0.3, 0.2, 0.1]) == 0.0
    assert aurc([0, 0, 0], [0.3, 0.2, 0.1]) == 1.0
    assert aurc([1, 0, 0, 1], [0.5] * 4) == pytest.approx(0.5)
    assert math.isnan(aurc([1], [0.5]))


def test_ties_are_the_mean_over_all_their_orders() -> None:
    labels = [1, 1, 0, 0, 1]
    tied = risk_coverage_curve(labels, [0.9, 0.5, 0.5, 0.5, 0.1])
    risks = [
        risk_coverage_curve([1, *middle, 1], [0.9, 0.7, 0.6, 0.5, 0.1]).risk for middle in permutations(labels[1:4])
    ]
    assert tied.risk == pytest.approx(np.mean(risks, axis=0), abs=1e-15)


def test_row_order_and_monotone_transforms_do_not_matter() -> None:
    generator = np.random.default_rng(8)
    scores, labels = generator.integers(-5, 6, 60), generator.integers(0, 2, 60)
    value = aurc(labels, scores)
    shuffled = generator.permutation(60)
    assert aurc(labels[shuffled], scores[shuffled]) == pytest.approx(value, abs=1e-14)
    assert aurc(labels, np.exp(scores / 2)) == pytest.approx(value, abs=1e-14)


def test_the_last_point_is_the_error_rate() -> None:
    curve = risk_coverage_curve([1, 0, 0, 1, 1], [0.0, 1.0, 1.0, 0.5, 0.5])
    assert curve.risk[-1] == pytest.approx(2 / 5)
    assert curve.coverage[-1] == 1.0
