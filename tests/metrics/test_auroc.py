import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from raycalib.metrics import auroc

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(-8, 8)), min_size=2, max_size=40)


def test_pairs_counted_by_hand() -> None:
    # Pairs (correct, incorrect): 0.4 > 0.1, 0.4 = 0.4 counts one half, 0.8 > 0.1, 0.8 > 0.4.
    assert auroc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8]) == 3.5 / 4


def test_limits() -> None:
    assert auroc([0, 0, 1, 1], [1, 2, 3, 4]) == 1.0
    assert auroc([1, 1, 0, 0], [1, 2, 3, 4]) == 0.0
    assert auroc([1, 0, 1, 0, 0], [0.3] * 5) == 0.5


def test_one_class_has_no_ranking() -> None:
    assert math.isnan(auroc([1, 1], [0.2, 0.3]))
    assert math.isnan(auroc([0], [0.2]))


def test_infinite_margins_are_ranked() -> None:
    assert auroc([0, 1, 1], [-math.inf, 0.0, math.inf]) == 1.0


@settings(deadline=None, derandomize=True, max_examples=60)
@given(rows=ROWS, seed=st.integers(0, 9))
def test_identities(rows: list[tuple[int, int]], seed: int) -> None:
    labels, scores = np.array(rows).T
    value = auroc(labels, scores)
    if math.isnan(value):
        assert len(set(labels.tolist())) == 1
        return
    assert value == auroc(labels, np.exp(scores / 3.0))
    assert value == auroc(labels, scores.astype(float) ** 3 + 7)
    assert value == pytest.approx(1 - auroc(labels, -scores), abs=1e-15)
    assert value == pytest.approx(1 - auroc(1 - labels, scores), abs=1e-15)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    assert value == auroc(labels[shuffled], scores[shuffled])
    assert value == pytest.approx(roc_auc_score(labels, scores), abs=1e-14)


def test_saturated_probabilities_tie_where_margins_do_not() -> None:
    margin = np.array([20.0, 30.0], dtype=np.float32)
    probability = 1 / (1 + np.exp(-margin))
    assert auroc([0, 1], margin) == 1.0
    assert auroc([0, 1], probability) == 0.5
