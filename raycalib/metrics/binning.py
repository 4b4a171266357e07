"""Which bin a confidence belongs to: the part of a calibration error that the labels do not touch."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from raycalib.errors import DataError
from raycalib.metrics.array_checks import FloatArray, IntArray, check_at_least, check_confidence
from raycalib.metrics.tied_blocks import tied_blocks

Binning = Literal["equal_mass", "equal_width"]
DEFAULT_N_BINS = 15
DEFAULT_BINNING: Binning = "equal_mass"


def equal_width_edges(n_bins: int) -> FloatArray:
    """Returns the edges k / n_bins, shape (n_bins + 1,).

    Written as a division because `np.linspace` misses decimals such as 0.3 by a rounding error, and a
    confidence of 0.3 would then fall below its edge.
    """
    return np.arange(n_bins + 1, dtype=np.float64) / n_bins


def assign_bins(confidence: ArrayLike, n_bins: int = DEFAULT_N_BINS, binning: Binning = DEFAULT_BINNING) -> IntArray:
    """Returns the bin 0 .. n_bins - 1 of each confidence; a higher confidence is never in a lower bin.

    equal_width: bin k holds [k / n_bins, (k + 1) / n_bins), the last one is closed at 1.0.
    equal_mass: the sorted rows are cut into n_bins groups whose sizes differ by at most one. Equal
    confidences are never separated: a block of ties goes whole to the bin of its middle position, so the
    result does not depend on row order. Bins can then be uneven or empty.

    Args:
        confidence: P(correct) in [0, 1], shape (n,).
        n_bins: Number of bins, at least 1.
        binning: "equal_mass" or "equal_width".

    Returns:
        Bin numbers, shape (n,); every row has one.

    Raises:
        DataError: Empty, NaN, outside [0, 1], n_bins below 1, or an unknown binning.

    Example:
        >>> assign_bins([0.1, 0.9, 0.9, 1.0], n_bins=2, binning="equal_width").tolist()
        [0, 1, 1, 1]
        >>> assign_bins([0.1, 0.2, 0.9, 1.0], n_bins=2, binning="equal_mass").tolist()
        [0, 0, 1, 1]
    """
    values = check_confidence(confidence)
    check_at_least(n_bins, 1, "n_bins")
    if binning == "equal_width":
        edges = equal_width_edges(n_bins)
        found = np.searchsorted(edges, values, side="right") - 1
        return np.minimum(found, n_bins - 1).astype(np.int64)
    if binning == "equal_mass":
        order, starts, sizes = tied_blocks(values)
        twice_middle = 2 * starts + sizes - 1
        bins = np.empty(len(values), dtype=np.int64)
        bins[order] = np.repeat(twice_middle * n_bins // (2 * len(values)), sizes)
        return bins
    raise DataError(f"binning: expected one of {get_args(Binning)}, got {binning!r}; choose one of these")
