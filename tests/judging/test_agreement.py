import math

from hypothesis import given
from hypothesis import strategies as st
import pytest
from sklearn.metrics import cohen_kappa_score

from raycalib.judging.agreement import agreement

LABELS = st.sampled_from([0, 1, None])


def test_by_hand() -> None:
    # 20 both yes, 15 both no, 5 yes/no, 10 no/yes: p_o = 35/50, p_e = (25·30 + 25·20)/2500 = 0.5
    first = [1] * 20 + [0] * 15 + [1] * 5 + [0] * 10
    second = [1] * 20 + [0] * 15 + [0] * 5 + [1] * 10
    found = agreement(first, second)
    assert (found.n, found.observed) == (50, 0.7)
    assert found.kappa == pytest.approx((0.7 - 0.5) / (1 - 0.5))


def test_limits() -> None:
    assert agreement([0, 1], [0, 1]).kappa == 1
    assert agreement([0, 1], [1, 0]).kappa == -1
    assert math.isnan(agreement([1, 1], [1, 1]).kappa)
    assert math.isnan(agreement([None], [1]).observed)
    with pytest.raises(ValueError, match="zip"):
        agreement([1], [1, 0])


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1))
def test_as_scikit_learn_has_it(pairs: list[tuple[int | None, int | None]]) -> None:
    first, second = [list(column) for column in zip(*pairs, strict=True)]
    found = agreement(first, second)
    both = [pair for pair in pairs if None not in pair]
    assert (found.n, found.n_unscored) == (len(both), len(pairs) - len(both))
    if not math.isnan(found.kappa):
        theirs = cohen_kappa_score([a for a, _ in both], [b for _, b in both])
        assert found.kappa == pytest.approx(theirs)
    assert agreement(second, first) == found or math.isnan(found.kappa)
