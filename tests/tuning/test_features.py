from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike
import pytest
import torch

from raycalib.errors import DataError
from raycalib.tuning.features import check_finite, float32_rows

VALUES = [[1.5, -2.0, 0.0], [256.0, 0.125, -1.0]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_that_every_float_type_holds_stay(dtype: DTypeLike) -> None:
    rows = float32_rows(np.array(VALUES).astype(dtype))
    assert rows.dtype == torch.float32
    assert rows.tolist() == VALUES


def test_bfloat16_tensors() -> None:
    assert float32_rows(torch.tensor(VALUES, dtype=torch.bfloat16, requires_grad=True)).tolist() == VALUES


def test_a_memory_map_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "features.npy"
    np.save(path, np.array(VALUES, dtype=np.float32))
    rows = float32_rows(np.load(path, mmap_mode="r"))
    rows += 1
    np.testing.assert_array_equal(np.load(path), VALUES)


@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf]])
def test_rows_that_are_not_finite_are_counted(bad: list[float]) -> None:
    rows = torch.zeros(3000, 4)
    rows[1500, : len(bad)] = torch.tensor(bad)
    rows[2999, 3] = bad[0]
    with pytest.raises(DataError, match=r"2 of 3000 training rows .*first is row 1500\).*leave these rows out"):
        check_finite(rows, "training")


def test_large_values_whose_sum_overflows_are_allowed() -> None:
    check_finite(torch.full((2, 4), 3e38), "training")
