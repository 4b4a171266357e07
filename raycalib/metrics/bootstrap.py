"""Intervals for any metric by resampling whole questions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raycalib.errors import DataError
from raycalib.metrics.array_checks import (
    FloatArray,
    IntArray,
    check_at_least,
    check_groups,
    check_same_length,
)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A metric's value with its percentile interval.

    Attributes:
        value: The metric on all rows.
        low: Lower bound; NaN when no resample could be used.
        high: Upper bound; NaN when no resample could be used.
        n_resamples_used: Resamples on which the metric was a number; the others were left out.
    """

    value: float
    low: float
    high: float
    n_resamples_used: int


def _rows_of_drawn_groups(drawn: IntArray, starts: IntArray, sizes: IntArray) -> IntArray:
    drawn_sizes = sizes[drawn]
    ends = np.cumsum(drawn_sizes)
    shift = np.repeat(starts[drawn] - (ends - drawn_sizes), drawn_sizes)
    rows: IntArray = np.arange(ends[-1], dtype=np.int64) + shift
    return rows


def _resampled_values(
    metric: Callable[..., float],
    columns: Sequence[NDArray[Any]],
    index: IntArray,
    n_resamples: int,
    seed: int,
) -> FloatArray:
    """Returns the metric on each resample of whole groups, shape (n_resamples,), NaN where undefined."""
    by_group = np.argsort(index, kind="stable")
    columns = [column[by_group] for column in columns]
    sizes = np.bincount(index).astype(np.int64)
    starts = np.cumsum(sizes) - sizes
    generator = np.random.default_rng(seed)
    values = np.empty(n_resamples)
    for resample in range(n_resamples):
        drawn = generator.integers(len(sizes), size=len(sizes))
        rows = _rows_of_drawn_groups(drawn, starts, sizes)
        values[resample] = metric(*(column[rows] for column in columns))
    return values


def _check_arguments(
    arrays: Sequence[ArrayLike], groups: ArrayLike | None, n_resamples: int, level: float
) -> tuple[list[NDArray[Any]], IntArray]:
    check_at_least(n_resamples, 1, "n_resamples")
    if not 0.0 < level < 1.0:
        raise DataError(f"level: expected a share within (0, 1), got {level}; 0.95 is usual")
    columns: list[NDArray[Any]] = [np.asarray(array) for array in arrays]
    if not columns or any(column.ndim == 0 for column in columns):
        raise DataError("arrays: expected at least one array with rows, got none; pass [labels, confidence]")
    index = check_groups(np.arange(len(columns[0])) if groups is None else groups)
    named = {f"arrays[{position}]": column for position, column in enumerate(columns)}
    check_same_length(**named, groups=index)
    return columns, index


def bootstrap_interval(
    metric: Callable[..., float],
    arrays: Sequence[ArrayLike],
    groups: ArrayLike | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 137,
) -> Interval:
    """Returns the metric on all rows with a percentile interval over resampled groups.

    A resample draws as many groups as there are, with replacement, and takes all rows of each. The bounds are
    the (1 - level) / 2 and (1 + level) / 2 quantiles. Resamples on which the metric is NaN (AUROC with one
    class) are left out and counted. ECE grows with sampling noise: its interval may lie above the value.

    Args:
        metric: Called as metric(*arrays); bind options with `functools.partial`.
        arrays: The metric's arguments, arrays of one length n along their first axis.
        groups: Question id of each row, shape (n,); None takes every row as a group of its own.
        n_resamples: Number of resamples, at least 1.
        level: Share of the resamples inside the interval, in (0, 1).
        seed: Seed of numpy's default generator; with groups, equal seeds agree in any order of rows.

    Returns:
        Value and bounds in the metric's unit; NaN bounds for a single group, which cannot be resampled.

    Raises:
        DataError: No rows, different lengths, level or n_resamples out of range, or raised by the metric.

    Source: Efron 1979; Davison and Hinkley 1997, sections 2.4 and 5.3.

    Example:
        >>> result = bootstrap_interval(lambda labels: labels.mean(), [[1, 0, 1, 1]], n_resamples=200)
        >>> result.value, result.low < 0.75 < result.high, result.n_resamples_used
        (0.75, True, 200)
    """
    columns, index = _check_arguments(arrays, groups, n_resamples, level)
    value = float(metric(*columns))
    if index.max() == 0:
        return Interval(value=value, low=math.nan, high=math.nan, n_resamples_used=0)
    results = _resampled_values(metric, columns, index, n_resamples, seed)
    used = results[~np.isnan(results)]
    if used.size == 0:
        return Interval(value=value, low=math.nan, high=math.nan, n_resamples_used=0)
    low, high = np.quantile(used, [(1.0 - level) / 2, (1.0 + level) / 2])
    return Interval(value=value, low=float(low), high=float(high), n_resamples_used=used.size)
