"""What the first rows of a table tell about its columns, before any of them becomes a question."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from raycalib.errors import DataError
from raycalib.sources.files.raw_row import CsvCell, RawRow
from raycalib.sources.hub.columns import whole_number
from raycalib.sources.hub.final_answer import final_answer
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.own.columns import OwnColumns
from raycalib.sources.own.listed import fields_of, listed
from raycalib.sources.own.options import read_options
from raycalib.sources.own.right_answers import TRUTH
from raycalib.sources.own.values import value_of
from raycalib.sources.own.written import is_whole

PEEKED_ROWS = 1000
ROWS_TO_TELL = 20
TEXT, LISTED, TRUTH_VALUE, SOLVED = "text", "listed", "truth value", "solved"


class Peek(NamedTuple):
    """What the first rows tell.

    Attributes:
        whole: columns with fractional numbers that are all whole, or with times that are all midnight.
        listed: columns of right answers whose texts are mostly lists of texts, or structs.
        truths: columns of right answers in a csv that hold truth values alone.
        solved: columns of right answers that are mostly worked solutions with a final answer.
        n_indices: rows that give the right option as a number.
        least_index: the least of these numbers.
    """

    whole: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    truths: frozenset[str] = frozenset()
    solved: frozenset[str] = frozenset()
    n_indices: int = 0
    least_index: int = 0

    def told(self, columns: OwnColumns) -> OwnColumns:
        """The columns with what was found out about them."""
        return replace(columns, whole=self.whole, listed=self.listed, truths=self.truths, solved=self.solved)

    def notes(self, columns: OwnColumns) -> list[str]:
        """What is read otherwise than as it stands, and a warning where numbers of right options may count from 1."""
        lines = [f"{name!r} holds lists as texts: each text of one is right" for name in sorted(self.listed)]
        lines += [f"{name!r} holds truth values: Yes or No, or True or False, is right" for name in sorted(self.truths)]
        lines += [
            f"{name!r} holds worked solutions: what is behind '####' is right, a judge sees the whole"
            for name in sorted(self.solved)
        ]
        if self.n_indices > ROWS_TO_TELL and self.least_index >= 1:
            lines.append(
                f"{columns.answer_index!r} is never 0 in the first {self.n_indices} rows: numbers of options count "
                "from 0, so check that these do not count from 1"
            )
        return lines


def peek(columns: OwnColumns, rows: Iterable[RawRow]) -> Peek:
    """Goes through some rows; those that cannot be used tell nothing, nor does what comes after a file breaks off."""
    fractional: dict[str, bool] = {}
    answers = {name: Counter[str]() for name in (columns.answer, columns.aliases) if name is not None}
    indices: list[int] = []
    used = columns.used()
    for row in _readable(rows):
        for column in used:
            for number in _fractional(row.values, column):
                fractional[column] = fractional.get(column, True) and is_whole(number)
        for column, counts in answers.items():
            counts.update(_kinds(row.values, column))
        index = _index(row.values, columns)
        if index is not None:
            indices.append(index)
    return Peek(
        whole=frozenset(column for column, all_whole in fractional.items() if all_whole),
        listed=frozenset(name for name, counts in answers.items() if 2 * counts[LISTED] > counts[TEXT]),
        truths=frozenset(name for name, counts in answers.items() if counts[TRUTH_VALUE] == counts[TEXT] > 0),
        solved=frozenset(name for name, counts in answers.items() if 2 * counts[SOLVED] > counts[TEXT]),
        n_indices=len(indices),
        least_index=min(indices, default=0),
    )


def _kinds(row: Mapping[str, Any], column: str) -> list[str]:
    """What a right answer is, where it is a text that is not empty."""
    try:
        value = value_of(row, column)
    except UnusableRowError:
        return []
    if not isinstance(value, str) or not value.strip():
        return []
    kinds = {
        LISTED: value.strip() == "[]" or listed(value) is not None or fields_of(value) is not None,
        TRUTH_VALUE: type(value) is CsvCell and value.strip().lower() in TRUTH,
        SOLVED: final_answer(value) is not None,
    }
    return [TEXT, *(kind for kind, is_so in kinds.items() if is_so)]


def _readable(rows: Iterable[RawRow]) -> Iterator[RawRow]:
    with suppress(DataError):
        yield from rows


def _fractional(row: Mapping[str, Any], column: str) -> list[float | datetime]:
    try:
        value = value_of(row, column)
    except UnusableRowError:
        return []
    found = value if isinstance(value, list) else [value]
    return [number for number in found if isinstance(number, float | datetime) and number == number]


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
