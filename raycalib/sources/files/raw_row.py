"""One row as a file has it, and what the readers of all kinds of files share."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from raycalib.errors import DataError


class CsvCell(str):
    """A cell of a csv: a text that may stand for a list, a number or a truth value where its reader wants one."""

    __slots__ = ()


class RawRow(NamedTuple):
    """One row as the file has it.

    Attributes:
        number: its place in the file, from 1: of a jsonl the line; the header of a csv does not count.
        values: by column; empty where the row cannot be read.
        fault: why it cannot be read, else empty.
    """

    number: int
    values: dict[str, Any]
    fault: str = ""


def check_names(path: Path, names: Sequence[str]) -> list[str]:
    """The columns' names; empty ones may be there several times, since nothing reads them.

    Raises:
        DataError: two columns have one name, so that one of them would be lost.
    """
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        shown = ", ".join(repr(name[:40]) for name in twice)
        raise DataError(f"source: {path} has several columns of the name {shown}; rename or remove all but one")
    return list(names)


def printable(text: str) -> str:
    """The text with broken UTF-8 escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
