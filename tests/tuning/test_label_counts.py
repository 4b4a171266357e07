import pytest

from raycalib.tuning.label_counts import LabelCounts


def test_counts_leave_unscored_rows_out() -> None:
    assert LabelCounts.of([1, 0, None, 1]) == LabelCounts(2, 1)
    assert LabelCounts.of([None]).n == 0


@pytest.mark.parametrize(
    ("counts", "nothing", "little"),
    [
        (LabelCounts(0, 0), "there are no labels", False),
        (LabelCounts(0, 5), "all 5 labels are 0", False),
        (LabelCounts(1200, 0), "all 1,200 labels are 1", False),
        (LabelCounts(1, 1), "", True),
        (LabelCounts(9, 500), "", True),
        (LabelCounts(500, 9), "", True),
        (LabelCounts(10, 10), "", False),
    ],
)
def test_what_labels_do_not_say(counts: LabelCounts, nothing: str, little: bool) -> None:
    assert counts.nothing_said("labels") == nothing
    assert bool(counts.little_said("labels")) == little


def test_the_scarce_class_is_named() -> None:
    assert LabelCounts(400, 3).little_said("labels").startswith("of 403 labels only 3 are 0 (below 10 of a class")
