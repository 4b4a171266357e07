import numpy as np
import pytest

from raycalib.errors import DataError
from raycalib.metrics import accuracy


def test_three_of_four() -> None:
    assert accuracy([1, 1, 0, 1]) == 3 / 4


def test_takes_the_hits_of_a_prediction() -> None:
    assert accuracy(np.array([1, 0, 0]) == np.array([1, 1, 0])) == pytest.approx(2 / 3)


def test_no_rows_is_an_error_and_not_zero() -> None:
    with pytest.raises(DataError, match="at least one row"):
        accuracy([])
