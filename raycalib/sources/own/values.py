"""The values of a row of your own as texts; UnusableRowError says with the column's name why one cannot be used."""

from collections.abc import Mapping
from typing import Any

from raycalib.sources.files.raw_row import CsvCell
from raycalib.sources.hub.columns import checked_text, from_json
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.own.columns import OwnColumns
from raycalib.sources.own.written import Writable, is_finite, written


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column, None where the row has none; ``options.text`` reads ``text`` inside ``options``.

    Raises:
        UnusableRowError: what should hold an inner field is there, but the field is not.
    """
    if column in row:
        return row[column]
    name, *inner = column.split(".")
    found = row.get(name)
    for part in inner:
        if type(found) is CsvCell:
            found = from_json(found, column) if found.strip() else None
        if found is None:
            return None
        if not isinstance(found, Mapping) or part not in found:
            raise UnusableRowError(f"column {column!r} is missing", column)
        found = found[part]
    return found


def as_text(value: Any, column: str, columns: OwnColumns) -> str:
    """Texts as they are, bytes as the text that they are, numbers and times as ``written``; nothing for null."""
    if isinstance(value, str):
        return checked_text(value, column)
    if value is None or value != value:
        return ""
    if isinstance(value, bytes):
        return checked_text(value.decode("utf-8", "surrogateescape"), column)
    if isinstance(value, Mapping):
        fields = ", ".join(str(name)[:40] for name in list(value)[:8])
        raise UnusableRowError(
            f"{column!r} must be a text or a number, not a struct of {fields}; name the field with the text, as "
            f"{column}.{next(iter(value), 'text')}",
            column,
        )
    if isinstance(value, bool) or not isinstance(value, Writable):
        raise UnusableRowError(f"{column!r} must be a text or a number, not {type(value).__name__}", column)
    if not is_finite(value):
        raise UnusableRowError(f"{column!r} is no finite number", column)
    return written(value, whole=column in columns.whole)


def needed_text(row: Mapping[str, Any], column: str, columns: OwnColumns) -> str:
    """The text of a column that may not be empty."""
    value = value_of(row, column)
    text = checked_text(value, column) if type(value) is str else as_text(value, column, columns)
    if not text.strip():
        raise UnusableRowError(f"{column!r} is empty", column)
    return text


def optional_text(row: Mapping[str, Any], meaning: str, column: str | None, columns: OwnColumns) -> str:
    """The text of a column that may be empty or not there; of a context that is a list, its paragraphs."""
    if column is None:
        return ""
    value = value_of(row, column)
    if type(value) is str:
        return checked_text(value, column)
    if meaning == "context" and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n\n".join(checked_text(part, column) for part in value)
    try:
        return as_text(value, column, columns)
    except UnusableRowError as error:
        raise UnusableRowError(f"{error}; {way_around(meaning)}", column) from None


def way_around(meaning: str) -> str:
    """What to do where a column was found that is not what it seems to be."""
    return f"where this is not the {meaning}, give {meaning}_column another name, or 'none'"
