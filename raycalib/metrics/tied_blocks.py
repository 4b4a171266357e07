"""Sorting with ties kept in view, so that no metric depends on the order in which rows arrive."""

from typing import NamedTuple

import numpy as np

from raycalib.metrics.array_checks import FloatArray, IntArray


class TiedBlocks(NamedTuple):
    """Runs of equal values in ascending order.

    Attributes:
        order: Row numbers in ascending order of value, shape (n,).
        starts: First sorted position of each block, shape (n_blocks,).
        sizes: Rows in each block, shape (n_blocks,); they sum to n.
    """

    order: IntArray
    starts: IntArray
    sizes: IntArray


def tied_blocks(values: FloatArray) -> TiedBlocks:
    """Returns the sort order of the values and their runs of equal values.

    Args:
        values: Real values without NaN, shape (n,), n >= 1.

    Example:
        >>> tied_blocks(np.array([0.5, 0.2, 0.5])).sizes.tolist()
        [1, 2]
    """
    order = np.argsort(values, kind="stable").astype(np.int64)
    ranked = values[order]
    starts = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1]))).astype(np.int64)
    sizes = np.diff(starts, append=len(values)).astype(np.int64)
    return TiedBlocks(order, starts, sizes)
