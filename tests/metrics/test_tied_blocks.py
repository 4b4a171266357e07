import numpy as np

from raycalib.metrics.tied_blocks import tied_blocks


def test_runs_of_equal_values() -> None:
    blocks = tied_blocks(np.array([0.5, 0.2, 0.5, 0.9]))
    assert blocks.order.tolist() == [1, 0, 2, 3]
    assert blocks.starts.tolist() == [0, 1, 3]
    assert blocks.sizes.tolist() == [1, 2, 1]


def test_one_value() -> None:
    assert tied_blocks(np.array([3.0])).sizes.tolist() == [1]


def test_equal_infinities_are_a_tie() -> None:
    assert tied_blocks(np.array([np.inf, -np.inf, np.inf])).sizes.tolist() == [1, 2]


def test_signed_zeros_are_a_tie() -> None:
    assert tied_blocks(np.array([0.0, -0.0])).sizes.tolist() == [2]
