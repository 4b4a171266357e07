"""Values of rows in messages: their beginnings, short and on one line whatever a row holds."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

SAMPLE_CHARACTERS = 400
DEPTH = 4
PARTS = 6
TEXT_CHARACTERS = 80


def sample(row: Mapping[str, Any]) -> str:
    r"""The beginning of each value of a row, escaped and short.

    >>> sample({"question": "Who\n?", "label": 3})
    "{'question': 'Who\\n?', 'label': 3}"
    """
    if not isinstance(row, Mapping):
        return beginning(row)
    parts = [f"{str(name)[:40]!a}: {beginning(value)}" for name, value in islice(row.items(), 12)]
    return f"{{{', '.join(parts)}}}"[:SAMPLE_CHARACTERS]


def beginning(value: object, write: Callable[[object], str] = ascii, depth: int = DEPTH) -> str:
    """The value as Python writes it: of long texts and lists the beginning, of what is nested deeply ``...``.

    >>> beginning([1, [2, [3, [4, [5]]]]])
    '[1, [2, [3, [...]]]]'

    Args:
        value: of a row.
        write: writes texts and numbers; ``repr`` leaves letters of all alphabets as they are.
        depth: how many lists in each other are shown.
    """
    if isinstance(value, str):
        return write(str(value[:TEXT_CHARACTERS]))
    if isinstance(value, bytes):
        return write(value[:TEXT_CHARACTERS])
    if isinstance(value, list | tuple | Mapping) and depth == 0:
        return "..."
    if isinstance(value, list | tuple):
        return f"[{', '.join(beginning(part, write, depth - 1) for part in value[:PARTS])}]"
    if isinstance(value, Mapping):
        parts = islice(value.items(), PARTS)
        return f"{{{', '.join(f'{str(k)[:40]!a}: {beginning(v, write, depth - 1)}' for k, v in parts)}}}"
    return write(value)[:TEXT_CHARACTERS] if isinstance(value, int | float | bool | None) else type(value).__name__
