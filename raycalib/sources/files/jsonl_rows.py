"""The rows of a jsonl file."""

from collections.abc import Iterator, Sequence
from json import JSONDecoder, detect_encoding
from pathlib import Path
from typing import Any

from raycalib.sources.files.raw_row import RawRow, printable


class _RepeatedKeyError(ValueError):
    """An object has one key twice, so that one of the values would be lost."""


def read_jsonl(path: Path, columns: Sequence[str] | None) -> Iterator[RawRow]:
    """The rows with all their columns, numbered by line; blank lines are no rows."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _row(number, line)


def _row(number: int, line: bytes) -> RawRow:
    try:
        values = DECODER.decode(line.decode(detect_encoding(line), "surrogatepass"))
    except _RepeatedKeyError as error:
        return RawRow(number, {}, printable(str(error)))
    except (ValueError, RecursionError) as error:
        return RawRow(number, {}, f"is not JSON: {printable(str(error))[:120]}")
    if not isinstance(values, dict):
        return RawRow(number, {}, "is not a JSON object")
    return RawRow(number, values)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RepeatedKeyError(f"has the key {twice[:40]!r} several times")
    return found


DECODER = JSONDecoder(object_pairs_hook=_object)
"""Takes ``NaN`` and ``Infinity`` as Python's own writer has them; what reads a column refuses them there."""
