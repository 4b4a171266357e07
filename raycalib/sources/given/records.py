"""Rows that are whole records, as raycalib writes them: taken as they are, ids and splits among it."""

from collections.abc import Iterable, Mapping
import json
from typing import Any

import pyarrow as pa

from raycalib.records import ANSWER, LABELLED, PROMPT_STYLES, Row
from raycalib.sources.files.raw_row import CsvCell
from raycalib.sources.hub.columns import shown, whole_number
from raycalib.sources.hub.item import UnusableRowError
from raycalib.storage.csv_cells import read_cell

NEEDED = frozenset(field.name for field in ANSWER if not field.nullable)
NEEDED_OF_LABELS = frozenset(field.name for field in LABELLED if not field.nullable)
TRUTHS = {"true": True, "false": False}


def are_records(names: Iterable[str]) -> bool:
    """Whether rows with these columns can be whole answer records."""
    return set(names) >= NEEDED


def is_record(values: Mapping[str, Any]) -> bool:
    """Whether a row is a whole answer record: it has all that may not be empty."""
    return all(values.get(name) is not None for name in NEEDED)


def has_labels(values: Mapping[str, Any]) -> bool:
    """Whether a record is that of a labelled answer."""
    return all(values.get(name) is not None for name in NEEDED_OF_LABELS)


def as_record(values: Mapping[str, Any], schema: pa.Schema) -> Row:
    """The record, its cells as the schema wants them where they come from a csv.

    Raises:
        UnusableRowError: a value is not what the schema wants.
    """
    row = {field.name: _cell(values.get(field.name), field) for field in schema}
    if row["style"] not in PROMPT_STYLES:
        allowed = ", ".join(PROMPT_STYLES)
        raise UnusableRowError(f"'style' is {shown(row['style'])}; allowed: {allowed}", "style")
    if row.get("query_label") not in (None, 0, 1):
        raise UnusableRowError(f"'query_label' is {shown(row['query_label'])}; allowed: 1, 0, empty", "query_label")
    return row


def _cell(value: Any, field: pa.Field) -> Any:
    if type(value) is CsvCell:
        value = None if field.nullable and not value else _of_csv(value, field)
    fits = field.nullable if value is None else _fits(value, field.type)
    if not fits:
        raise UnusableRowError(
            f"{field.name!r} is {shown(value)}, which no record has there ({field.type})", field.name
        )
    return str(value) if isinstance(value, str) else value


def _of_csv(cell: str, field: pa.Field) -> Any:
    """What a cell stands for; the cell itself where it stands for nothing of the kind."""
    kind = field.type
    if pa.types.is_string(kind):
        return read_cell(str(cell), field)
    found: Any = str(cell)
    try:
        if pa.types.is_boolean(kind):
            found = TRUTHS.get(cell.strip().lower(), found)
        elif pa.types.is_integer(kind):
            number = whole_number(cell)
            found = found if number is None else number
        elif pa.types.is_floating(kind):
            found = float(cell)
        elif pa.types.is_list(kind):
            found = json.loads(cell)
    except (ValueError, RecursionError):
        return found
    return found


def _fits(value: Any, kind: pa.DataType) -> bool:
    if pa.types.is_boolean(kind):
        return isinstance(value, bool)
    if pa.types.is_integer(kind):
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2 ** (kind.bit_width - 1)
    if pa.types.is_floating(kind):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if pa.types.is_list(kind):
        return isinstance(value, list) and all(part is not None and _fits(part, kind.value_type) for part in value)
    return isinstance(value, str) and _is_utf8(value)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
