"""Lists that a text stands for: as JSON, as Python prints them, as numpy prints them."""

import ast
import json
import re
from typing import Any

QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
NUMPY = re.compile(rf"\[\s*(?:{QUOTED})(?:\s+(?:{QUOTED}))*\s*\]", re.DOTALL)
QUOTED_TEXT = re.compile(QUOTED, re.DOTALL)
ARRAY = re.compile(r"\barray\((\[[^\[\]]*\])(?:,\s*dtype=[^()\[\]]*)?\)")
LONGEST = 2**20
NOT_READ = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)
"""What a text raises that is nothing of the kind; TypeError as ``{[]}``, a set of what no set may hold."""


def listed(text: str) -> list[str] | None:
    """The texts of a list of quoted texts; None where the text is no such list, or an empty one.

    What has no quotes is none: ``[0, 1]`` may be an interval.

    >>> listed('["Amber", "amber"]'), listed("['Amber', None]"), listed("['Amber' 'amber']"), listed("[0, 1]")
    (['Amber', 'amber'], ['Amber'], ['Amber', 'amber'], None)
    """
    text = ARRAY.sub(r"\1", text.strip())
    if not (text.startswith("[") and text.endswith("]")) or len(text) > LONGEST:
        return None
    for read in (json.loads, _numpy, ast.literal_eval):  # numpy's before Python's, which joins texts side by side
        try:
            found: Any = read(text)
        except NOT_READ:
            continue
        kept = [part for part in found if part is not None] if isinstance(found, list) else []
        return kept if kept and all(isinstance(part, str) for part in kept) else None
    return None


def _numpy(text: str) -> list[str]:
    """Raises ValueError where numpy does not print a list of texts so."""
    if not NUMPY.fullmatch(text):
        raise ValueError("not as numpy prints lists of texts")
    return [str(ast.literal_eval(quoted)) for quoted in QUOTED_TEXT.findall(text)]


def fields_of(text: str) -> dict[str, Any] | None:
    """The struct that a text is, as JSON or as Python prints it; None where it is none.

    >>> fields_of("{'text': ['Amber'], 'answer_start': [3]}")
    {'text': ['Amber'], 'answer_start': [3]}
    """
    text = ARRAY.sub(r"\1", text.strip())  # as pandas writes structs with lists into a csv
    if not (text.startswith("{") and text.endswith("}")) or len(text) > LONGEST:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found: Any = read(text)
        except NOT_READ:
            continue
        return found if isinstance(found, dict) else None
    return None
