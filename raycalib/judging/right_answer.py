"""What a judge is told of the right answer."""

from collections.abc import Mapping
from typing import Any


def right_texts(row: Mapping[str, Any]) -> list[str]:
    """All right answers of a row, the target first, blank ones left out.

    >>> right_texts({"target": " ", "aliases": ["Mumbai", ""]})
    ['Mumbai']
    """
    return [text for text in (row["target"], *(row.get("aliases") or ())) if text.strip()]


def shown_right_answer(row: Mapping[str, Any]) -> str:
    """The solution where the row has one, else the right answer, with all others that are right as well.

    >>> shown_right_answer({"target": "Bombay"})
    'Bombay'
    >>> shown_right_answer({"target": "Bombay", "aliases": ["Mumbai", "Bombay City"]})
    'Bombay (or any of these, which are right as well: Mumbai; Bombay City)'
    >>> shown_right_answer({"target": "6", "solution": "2 * 3 = 6", "aliases": None})
    '2 * 3 = 6'
    """
    first, *rest = right_texts(row) or [""]
    shown, others = row.get("solution") or first, "; ".join(rest)
    return f"{shown} (or any of these, which are right as well: {others})" if others else shown
