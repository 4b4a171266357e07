"""Cells of csv files: what a spreadsheet would run as a formula is a text, and nothing is lost.

A text that begins with one of ``= + - @``, their full-width forms, a tab or a line break, also behind spaces or what is
not seen, gets an apostrophe before it, as spreadsheets mark texts; so does one that begins with apostrophes and then in
such a way, so that ``read_cell`` tells them apart. Numbers stay numbers. Null is an empty cell, and an empty text in a
column that may be null a lone apostrophe.

Source: OWASP, CSV Injection.
"""

import json
from typing import Any
import unicodedata

import pyarrow as pa

APOSTROPHE = "'"
FORMULA_STARTS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
SKIPPED = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode's categories of what spreadsheets cut off or do not show."""


def write_cell(value: Any, field: pa.Field) -> str:
    r"""The value of a column as a csv cell.

    >>> write_cell("=1+1", pa.field("output", pa.string())), write_cell(-1.5, pa.field("logit", pa.float64()))
    ("'=1+1", '-1.5')
    >>> write_cell(["a", "b"], pa.field("options", pa.list_(pa.string())))
    '["a", "b"]'
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return _text_cell(value, field.nullable)
    return json.dumps(value, ensure_ascii=False)


def read_cell(cell: str, field: pa.Field) -> Any:
    """The value that ``write_cell`` wrote.

    >>> read_cell("'=1+1", pa.field("output", pa.string()))
    '=1+1'
    """
    if not cell and field.nullable:
        return None
    if pa.types.is_string(field.type):
        return cell[1:] if cell.startswith(APOSTROPHE) and _is_marked(cell[1:], field.nullable) else cell
    return json.loads(cell)


def _text_cell(text: str, nullable: bool) -> str:
    return APOSTROPHE + text if _is_marked(text, nullable) else text


def _is_marked(text: str, nullable: bool) -> bool:
    """Whether a text needs an apostrophe before it; apostrophes that it begins with change nothing."""
    rest = text.lstrip(APOSTROPHE)
    if not rest:
        return nullable
    shown = (letter for letter in rest if letter in FORMULA_STARTS or unicodedata.category(letter) not in SKIPPED)
    return next(shown, "") in FORMULA_STARTS
