"""What the first rows of a table tell about its columns, before any of them becomes a question."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from raycalib.errors import DataError
from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.hub.columns import whole_number
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.own.columns import OwnColumns
from raycalib.sources.own.options import read_options
from raycalib.sources.own.values import value_of

PEEKED_ROWS = 1000
ROWS_TO_TELL = 20


class Peek(NamedTuple):
    """What the first rows tell.

    Attributes:
        whole: columns with fractional numbers that are all whole.
        n_indices: rows that give the right option as a number.
        least_index: the least of these numbers.
    """

    whole: frozenset[str] = frozenset()
    n_indices: int = 0
    least_index: int = 0

    def note(self, column: str | None) -> str:
        """A warning where the numbers of the right options may count from 1; else empty."""
        if self.n_indices <= ROWS_TO_TELL or self.least_index < 1:
            return ""
        return (
            f"{column!r} is never 0 in the first {self.n_indices} rows: numbers of options count from 0, so check that "
            "these do not count from 1"
        )


def peek(columns: OwnColumns, rows: Iterable[RawRow]) -> Peek:
    """Goes through some rows; those that cannot be used tell nothing, nor does what comes after a file breaks off."""
    fractional: dict[str, bool] = {}
    indices: list[int] = []
    used = columns.used()
    for row in _readable(rows):
        for column in used:
            for number in _floats(row.values, column):
                fractional[column] = fractional.get(column, True) and number == number // 1
        index = _index(row.values, columns)
        if index is not None:
            indices.append(index)
    whole = frozenset(column for column, all_whole in fractional.items() if all_whole)
    return Peek(whole, len(indices), min(indices, default=0))


def _readable(rows: Iterable[RawRow]) -> Iterator[RawRow]:
    with suppress(DataError):
        yield from rows


def _floats(row: Mapping[str, Any], column: str) -> list[float]:
    try:
        value = value_of(row, column)
    except UnusableRowError:
        return []
    found = value if isinstance(value, list) else [value]
    return [number for number in found if isinstance(number, float) and number == number]


def _index(row: Mapping[str, Any], columns: OwnColumns) -> int | None:
    """The number of the right option; None where the row has none, or has keys of its own that are numbers."""
    if columns.answer_index is None:
        return None
    try:
        number = whole_number(value_of(row, columns.answer_index))
        keys = read_options(row, columns).keys if number is not None else ()
    except UnusableRowError:
        return None
    return None if any(key.isdigit() for key in keys) else number
