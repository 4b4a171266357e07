"""Checks that every metric makes on its arrays, so that bad input raises the same error everywhere."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raycalib.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def _as_vector(values: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name}: expected a 1-D array, got a ragged sequence; pass one value per row") from error
    if array.ndim != 1:
        raise DataError(f"{name}: expected a 1-D array, got shape {array.shape}; pass one value per row")
    if array.size == 0:
        raise DataError(f"{name}: expected at least one row, got none; check the filter that selected the rows")
    return array


def _as_numbers(values: ArrayLike, name: str) -> NDArray[Any]:
    array = _as_vector(values, name)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: expected numbers, got dtype {array.dtype}; leave out rows with a missing value and count them"
        )
    n_nan = int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0
    if n_nan:
        raise DataError(
            f"{name}: expected no NaN, got {n_nan} in {array.size} rows; leave these rows out and count them"
        )
    return array


def check_labels(values: ArrayLike, name: str = "labels") -> IntArray:
    """Returns the labels as int64, shape (n,), each 0 or 1.

    Raises:
        DataError: Not 1-D, empty, not numeric (None included), NaN, or a value other than 0 and 1.
    """
    array = _as_numbers(values, name)
    wrong = array[(array != 0) & (array != 1)]
    if wrong.size:
        raise DataError(
            f"{name}: expected only 0 and 1, got {wrong[0]} ({wrong.size} such rows);"
            " leave out rows without a verdict instead of coding them as a number"
        )
    return array.astype(np.int64)


def check_confidence(values: ArrayLike, name: str = "confidence") -> FloatArray:
    """Returns the confidences as float64, shape (n,), each in [0, 1].

    Raises:
        DataError: Not 1-D, empty, not numeric, NaN, or a value outside [0, 1].
    """
    array = _as_numbers(values, name).astype(np.float64)
    wrong = array[(array < 0.0) | (array > 1.0)]
    if wrong.size:
        raise DataError(
            f"{name}: expected values in [0, 1], got {wrong[0]} ({wrong.size} such rows);"
            " pass P(correct), not a logit or a percentage"
        )
    return array


def check_scores(values: ArrayLike, name: str = "scores") -> FloatArray:
    """Returns the scores as float64, shape (n,), infinities allowed: they can be ranked.

    Raises:
        DataError: Not 1-D, empty, not numeric, or NaN.
    """
    return _as_numbers(values, name).astype(np.float64)


def check_groups(values: ArrayLike, name: str = "groups") -> IntArray:
    """Returns each row's group as an index 0 .. n_groups - 1 in sorted order of the ids, int64, shape (n,).

    Raises:
        DataError: Not 1-D, empty, NaN, or ids that cannot be compared with each other (None among strings).
    """
    array = _as_vector(values, name)
    if array.dtype.kind == "f":
        array = _as_numbers(values, name)
    try:
        index = np.unique(array, return_inverse=True)[1]
    except TypeError as error:
        raise DataError(
            f"{name}: expected ids of one type, got a mixture; give every row an id, all strings or all integers"
        ) from error
    return index.astype(np.int64)


def check_same_length(**arrays: NDArray[Any]) -> None:
    """Checks that all arrays have one length.

    Raises:
        DataError: The lengths differ.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"expected arrays of one length, got {got}; select the same rows for all of them")


def check_at_least(value: int, minimum: int, name: str) -> None:
    """Checks a count that a caller chose.

    Raises:
        DataError: The value is below the minimum.
    """
    if value < minimum:
        raise DataError(f"{name}: expected at least {minimum}, got {value}; choose a larger number")
