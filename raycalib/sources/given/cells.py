"""The cells of a given row as texts, labels and lists; UnusableRowError says with the column's name what is wrong."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.hub.columns import shown
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.own.columns import OwnColumns
from raycalib.sources.own.listed import listed
from raycalib.sources.own.options import read_options
from raycalib.sources.own.peek import peek
from raycalib.sources.own.right_answers import texts_of
from raycalib.sources.own.values import as_text

LABELS = {"yes": 1, "true": 1, "no": 0, "false": 0}
UNLABELLED = ("", "nan", "none", "null", "na", "n/a", "<na>")
"""Texts that mean that no label is given."""

NOT_LABELLED_YET = -1
"""What the paper's code writes as a label before anything is labelled."""

TEXTS = (
    OwnColumns(question="context", answer="target", context="output"),
    OwnColumns(question="answer", task="task"),
)
"""The columns that may hold whole numbers as fractional ones, as tables with nulls do."""

OPTIONS = OwnColumns(choices="options")


class RightTexts(NamedTuple):
    """The right answers of a row: the first, and the others."""

    target: str
    aliases: tuple[str, ...] = ()


def text_columns(first: Sequence[RawRow]) -> OwnColumns:
    """How the cells of a table become texts, from its first rows."""
    return OwnColumns(whole=frozenset().union(*(peek(columns, first).whole for columns in TEXTS)))


def text_of(values: Mapping[str, Any], column: str, columns: OwnColumns) -> str | None:
    """The text of a cell as it stands; None where the row has none. An empty cell of a csv is an empty text."""
    value = values.get(column)
    if value is None or value != value:
        return None
    return str(value) if isinstance(value, bool) else as_text(value, column, columns)


def needed_text(values: Mapping[str, Any], column: str, columns: OwnColumns) -> str:
    """The text of a cell that may not be empty."""
    text = text_of(values, column, columns) or ""
    if not text.strip():
        raise UnusableRowError(f"{column!r} is empty", column)
    return text


def label_of(value: Any, column: str = "query_label") -> int | None:
    """The label that a cell means: 1, 0, or None where none is given.

    >>> [label_of(value) for value in (1, "0", "1.0", True, "no", "", None, "NaN", float("nan"))]
    [1, 0, 1, 1, 0, None, None, None, None]

    Raises:
        UnusableRowError: it means something else.
    """
    found = value
    if isinstance(value, str):
        text = value.strip().lower()
        if text in UNLABELLED:
            return None
        found = LABELS.get(text, text)
    try:
        number = None if found is None else float(found)
    except (TypeError, ValueError, OverflowError):
        number = 2.0
    if number is None or number != number:
        return None
    if number == NOT_LABELLED_YET:
        reason = f"{column!r} is -1, which the paper's code writes where nothing is labelled yet; label the answers"
        raise UnusableRowError(reason, column)
    if number not in (0, 1):
        raise UnusableRowError(f"{column!r} is {shown(value)}; allowed: 1 (right), 0 (wrong), empty", column)
    return int(number)


def right_of(values: Mapping[str, Any], columns: OwnColumns) -> RightTexts:
    """The right answers: ``target`` as it stands, of a list the first part; else the first of ``aliases``.

    Raises:
        UnusableRowError: there is none, or it cannot be one.
    """
    found = values.get("target")
    if isinstance(found, list | tuple | Mapping):
        targets = texts_of(found, "target", columns)
    else:
        text = text_of(values, "target", columns) or ""
        targets = [text] if text.strip() else []
    several = dict.fromkeys([*targets, *_aliases(values.get("aliases"), columns)])
    if not several:
        raise UnusableRowError("'target' is empty", "target")
    first, *others = several
    return RightTexts(first, tuple(others))


def _aliases(value: Any, columns: OwnColumns) -> list[str]:
    if isinstance(value, str):
        parts = listed(value)
        value = [] if value.strip() == "[]" else value if parts is None else parts
    if value is None or value != value:
        return []
    return texts_of(value, "aliases", columns)


def options_of(values: Mapping[str, Any]) -> list[str]:
    """The options in order: a list, in a csv as JSON; empty where the row has none.

    Raises:
        UnusableRowError: it is no list of different texts.
    """
    try:
        return list(read_options(values, OPTIONS).texts)
    except UnusableRowError as error:
        raise UnusableRowError(str(error).partition("; ")[0], error.field) from None
