import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from raycalib.errors import DataError
from raycalib.metrics import auroc, mean_within_group_auroc


def test_written_out() -> None:
    # Group a ranks right (1.0), b wrong (0.0), c has a single class and is left out.
    result = mean_within_group_auroc([0, 1, 0, 1, 1], [1, 2, 9, 8, 3], ["a", "a", "b", "b", "c"], min_per_class=1)
    assert result == (0.5, 2, 1, 4)


def test_groups_weigh_the_same_however_large() -> None:
    labels = [0, 1] + [0, 1] * 10
    scores = [0, 1] + [1, 0] * 10
    groups = [0] * 2 + [1] * 20
    assert mean_within_group_auroc(labels, scores, groups, min_per_class=1).value == 0.5


def test_min_per_class_needs_both_classes() -> None:
    labels = [1] * 5 + [0] * 5 + [1] * 9 + [0] * 4
    groups = ["enough"] * 10 + ["four wrong answers"] * 13
    result = mean_within_group_auroc(labels, np.arange(23), groups)
    assert (result.n_groups_used, result.n_groups_left_out) == (1, 1)
    assert result.value == 0.0


def test_no_usable_group_is_nan() -> None:
    result = mean_within_group_auroc([1, 0], [0.5, 0.4], ["a", "b"])
    assert math.isnan(result.value)
    assert (result.n_groups_used, result.n_groups_left_out) == (0, 2)


def test_knowing_only_the_task_earns_nothing() -> None:
    easy, hard = [1] * 9 + [0], [0] * 9 + [1]
    labels, scores = easy + hard, [0.9] * 10 + [0.1] * 10
    groups = ["easy"] * 10 + ["hard"] * 10
    assert auroc(labels, scores) == pytest.approx(0.9)
    assert mean_within_group_auroc(labels, scores, groups, min_per_class=1).value == 0.5


def test_row_order_and_scikit_learn() -> None:
    generator = np.random.default_rng(9)
    labels, scores = generator.integers(0, 2, 120), generator.normal(size=120)
    groups = generator.integers(0, 3, 120)
    result = mean_within_group_auroc(labels, scores, groups)
    expected = np.mean([roc_auc_score(labels[groups == g], scores[groups == g]) for g in range(3)])
    assert result.value == pytest.approx(expected, abs=1e-14)
    shuffled = generator.permutation(120)
    again = mean_within_group_auroc(labels[shuffled], scores[shuffled], groups[shuffled])
    assert again.value == pytest.approx(result.value, abs=1e-14)


def test_refuses_min_per_class_zero() -> None:
    with pytest.raises(DataError, match="min_per_class"):
        mean_within_group_auroc([1, 0], [0.5, 0.4], ["a", "a"], min_per_class=0)
