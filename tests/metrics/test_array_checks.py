from typing import Any

import numpy as np
import pytest

from raycalib.errors import DataError
from raycalib.metrics import (
    accuracy,
    aurc,
    auroc,
    bootstrap_interval,
    brier_score,
    ece_paper,
    expected_calibration_error,
    mean_within_group_auroc,
    nll,
    nll_from_logits,
    reliability_bins,
)
from raycalib.metrics.array_checks import (
    check_at_least,
    check_confidence,
    check_groups,
    check_labels,
    check_same_length,
    check_scores,
)

OF_LABELS_AND_CONFIDENCE = [expected_calibration_error, reliability_bins, brier_score, nll]
OF_LABELS_AND_SCORES = [auroc, aurc, nll_from_logits]


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ([], "at least one row"),
        ([[0, 1]], r"1-D array, got shape \(1, 2\)"),
        (1, "1-D array"),
        ([[0], [0, 1]], "ragged"),
        ([0, 2], "only 0 and 1, got 2"),
        ([0, -1], "only 0 and 1, got -1"),
        ([0.5], "only 0 and 1, got 0.5"),
        ([1, None], "expected numbers, got dtype object"),
        (["1"], "expected numbers"),
        ([1.0, np.nan], "no NaN, got 1 in 2 rows"),
    ],
)
def test_labels_refuses(values: Any, match: str) -> None:
    with pytest.raises(DataError, match=match):
        check_labels(values)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ([], "at least one row"),
        ([np.nan], "no NaN"),
        ([1.1], r"\[0, 1\], got 1.1"),
        ([-1e-9], r"\[0, 1\]"),
        ([np.inf], r"\[0, 1\]"),
    ],
)
def test_confidence_refuses(values: Any, match: str) -> None:
    with pytest.raises(DataError, match=match):
        check_confidence(values)


def test_bool_and_float_labels_become_integers() -> None:
    assert check_labels([True, False]).dtype == np.int64
    assert check_labels([1.0, 0.0]).tolist() == [1, 0]


def test_scores_may_be_infinite_but_not_nan() -> None:
    assert check_scores([-np.inf, np.inf]).tolist() == [-np.inf, np.inf]
    with pytest.raises(DataError, match="no NaN"):
        check_scores([np.nan])


def test_groups_become_indices_in_sorted_order() -> None:
    assert check_groups(["b", "a", "b"]).tolist() == [1, 0, 1]
    with pytest.raises(DataError, match="one type"):
        check_groups(np.array(["b", None], dtype=object))
    with pytest.raises(DataError, match="no NaN"):
        check_groups([1.0, np.nan])


def test_lengths_are_named() -> None:
    with pytest.raises(DataError, match="labels 2, confidence 1"):
        check_same_length(labels=np.zeros(2), confidence=np.zeros(1))


def test_counts_have_a_minimum() -> None:
    check_at_least(1, 1, "n_bins")
    with pytest.raises(DataError, match="n_bins: expected at least 1, got 0"):
        check_at_least(0, 1, "n_bins")


@pytest.mark.parametrize("metric", [*OF_LABELS_AND_CONFIDENCE, *OF_LABELS_AND_SCORES])
def test_every_metric_of_two_arrays_checks_them(metric: Any) -> None:
    for labels, values in [([], []), ([1, 2], [0.5, 0.5]), ([1, 0], [0.5]), ([1, 0], [0.5, np.nan])]:
        with pytest.raises(DataError):
            metric(labels, values)


@pytest.mark.parametrize("metric", OF_LABELS_AND_CONFIDENCE)
def test_a_metric_of_probabilities_refuses_logits(metric: Any) -> None:
    with pytest.raises(DataError, match="not a logit"):
        metric([1, 0], [0.5, 3.0])


def test_the_others_check_too() -> None:
    with pytest.raises(DataError):
        accuracy([2])
    with pytest.raises(DataError, match="predicted 1"):
        ece_paper([1, 0], [0.5, 0.6], [1])
    with pytest.raises(DataError, match="groups 1"):
        mean_within_group_auroc([1, 0], [0.5, 0.6], ["a"])
    with pytest.raises(DataError, match="groups 1"):
        bootstrap_interval(accuracy, [[1, 0]], ["a"])
