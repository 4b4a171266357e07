import pytest

from tests.golden.tally import Tally


@pytest.mark.parametrize(
    ("ours", "golden", "differs"),
    [
        (1.0009, 1.0, False),  # 1e-3 of the golden value
        (1.0011, 1.0, True),
        ([[1.0], [2.0019]], [[1.0], [2.0]], False),
        ([[1.0], [2.0021]], [[1.0], [2.0]], True),
        ([1.0, 1.0], 1.0, True),
        ([1.0, 1.0], [1.0], True),
        (float("nan"), float("nan"), True),
        (float("nan"), 1.0, True),
    ],
)
def test_numbers_are_equal_within_the_tolerance(ours: object, golden: object, differs: bool) -> None:
    tally = Tally()
    tally.compare_close("x", ours, golden, rtol=1e-3)
    assert (tally.compared, len(tally.differences)) == (1, differs)


def test_a_number_off_is_explained_where_there_is_a_reason() -> None:
    tally = Tally()
    tally.compare_close("near zero", 1e-5, 0.0, atol=1e-4, reason="mask")
    tally.compare_close("off", 1e-3, 0.0, atol=1e-4, reason="mask")
    assert (tally.compared, tally.differences, tally.explained) == (2, [], {"mask": 1})
