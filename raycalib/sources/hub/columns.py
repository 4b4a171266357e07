"""Readers of a row's columns; UnusableRowError says in one line, with the column's name, why a value cannot be used."""

from collections.abc import Callable, Mapping, Sequence
import json
from numbers import Integral
import re
from string import ascii_lowercase
from typing import Any

from raycalib.records import Row
from raycalib.sources.files.raw_row import CsvCell
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.hub.shown import beginning

TextReader = Callable[[Row], str]
OptionsReader = Callable[[Row], tuple[str, ...]]
AnswerReader = Callable[[Row, tuple[str, ...]], int]

WHOLE_NUMBER = re.compile(r"\s*(-?[0-9]{1,9})(?:\.0*)?\s*")
SHOWN_CHARACTERS = 40


def value_at(row: Row, column: str) -> Any:
    """The value of a column; ``choices.text`` reads ``text`` inside ``choices``."""
    found: Any = row
    for part in column.split("."):
        if type(found) is CsvCell:
            found = from_json(found, column)
        if not isinstance(found, Mapping) or part not in found:
            raise UnusableRowError(f"column {column!r} is missing", column)
        found = found[part]
    if found is None:
        raise UnusableRowError(f"{column!r} is null", column)
    return found


def text_at(row: Row, column: str) -> str:
    """The text of a column, as it is."""
    value = value_at(row, column)
    if not isinstance(value, str):
        raise UnusableRowError(f"{column!r} must be a text, not {shown(value)}", column)
    return checked_text(value, column)


def texts_at(row: Row, column: str) -> tuple[str, ...]:
    """The texts of a column that holds a list of them; a csv has it as JSON."""
    value = value_at(row, column)
    if type(value) is CsvCell:
        value = from_json(value, column)
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise UnusableRowError(f"{column!r} must be a list of texts, not {shown(value)}", column)
    return tuple(checked_text(text, column) for text in value)


def checked_text(text: str, column: str) -> str:
    """The text, refused where a file cannot hold it: NUL characters and broken UTF-8."""
    if "\0" in text:
        raise UnusableRowError(f"{column!r} holds a NUL character", column)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnusableRowError(f"{column!r} is not valid UTF-8", column) from None
    return str(text)


def from_json(cell: str, column: str) -> Any:
    """What the cell of a csv stands for, where a list or a struct is wanted."""
    if not cell:
        raise UnusableRowError(f"{column!r} is empty", column)
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        hint = "; write Python's lists with json.dumps" if cell.lstrip()[:2] in ("['", "{'") else ""
        reason = f"{column!r} must be JSON in a csv, not {shown(str(cell))}{hint}"
        raise UnusableRowError(reason, column) from None


def whole_number(value: object) -> int | None:
    """The value as a whole number: one, its digits, or such a float (``2.0``, as tables with nulls have it).

    >>> [whole_number(value) for value in (2, "2", 2.0, "2.0", 2.5, True, "two")]
    [2, 2, 2, 2, None, None, None]
    """
    if type(value) is int:
        return value
    if isinstance(value, str):
        found = WHOLE_NUMBER.fullmatch(value)
        return int(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, Integral | float):
        return None
    return int(value) if value == value // 1 else None


def fixed(*options: str) -> OptionsReader:
    """The same options for every row."""
    return lambda row: options


def in_columns(*columns: str) -> OptionsReader:
    """One option a column."""
    return lambda row: tuple(text_at(row, column) for column in columns)


def in_list(column: str) -> OptionsReader:
    """All options in one column that holds a list."""
    return lambda row: texts_at(row, column)


def number(column: str, *, first: int = 0) -> AnswerReader:
    """The right option's number, a whole number or its digits; ``first`` is the number of the first option."""
    return lambda row, options: option_number(value_at(row, column), column, options, first=first)


def option_number(value: object, column: str, options: Sequence[str], *, first: int = 0) -> int:
    """The place of the option that a number names; ``first`` is the number of the first option."""
    if isinstance(value, str) and not value.strip():
        raise _no_label(column, value)
    found = whole_number(value)
    if found is None:
        raise UnusableRowError(f"{column!r} must be a whole number, not {shown(value)}", column)
    if found == -1:
        raise _no_label(column, found)
    if not 0 <= found - first < len(options):
        last = first + len(options) - 1
        raise UnusableRowError(f"{column!r} is {found}; the options are numbered {first} to {last}", column)
    return found - first


def key(column: str, *, among: str | None = None) -> AnswerReader:
    """The right option's key: one of the list in column ``among``, or else a letter from a on."""

    def read(row: Row, options: tuple[str, ...]) -> int:
        value = text_at(row, column)
        if not value.strip():
            raise _no_label(column, value)
        keys = texts_at(row, among) if among else tuple(ascii_lowercase)
        if value not in keys[: len(options)]:
            raise UnusableRowError(f"{column!r} is {shown(value)}, which is the key of no option", column)
        return keys.index(value)

    return read


def truth(column: str) -> AnswerReader:
    """A truth value, where the options are the false one and the true one."""

    def read(row: Row, options: tuple[str, ...]) -> int:
        value = value_at(row, column)
        if type(value) is CsvCell and value.strip().lower() in ("true", "false"):
            value = value.strip().lower() == "true"
        if not isinstance(value, bool):
            raise UnusableRowError(f"{column!r} must be true or false, not {shown(value)}", column)
        return int(value)

    return read


def marked(column: str) -> AnswerReader:
    """A list with a 1 for the one right option and a 0 for every other."""

    def read(row: Row, options: tuple[str, ...]) -> int:
        marks = value_at(row, column)
        if type(marks) is CsvCell:
            marks = from_json(marks, column)
        if not isinstance(marks, list | tuple) or len(marks) != len(options):
            raise UnusableRowError(f"{column!r} must be a list of {len(options)} marks, not {shown(marks)}", column)
        right = [index for index, mark in enumerate(marks) if mark == 1]
        if len(right) != 1:
            raise UnusableRowError(f"{column!r} marks {len(right)} options as right; exactly one is needed", column)
        return right[0]

    return read


def _no_label(column: str, value: object) -> UnusableRowError:
    return UnusableRowError(f"{column!r} is {shown(value)}: the row has no label", column, expected=True)


def shown(value: object) -> str:
    """The beginning of a value, for a reason."""
    text = beginning(value, repr)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({type(value).__name__})"
