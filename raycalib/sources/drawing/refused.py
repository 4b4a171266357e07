"""Rows that did not become questions."""

from typing import NamedTuple

from raycalib.records import Row


class RefusedRow(NamedTuple):
    """A row that cannot be asked in a style, with the reason.

    Attributes:
        source: label of the source.
        place: the file, or the hub's dataset and split.
        row: its number there, from 1.
        style: the prompt style.
        field: the column; empty where it is the row as a whole.
        reason: one line.
        expected: the dataset is known to have such rows (no label); it does not count as bad.
        content: the beginning of the row's values, escaped.
    """

    source: str
    place: str
    row: int
    style: str
    field: str
    reason: str
    expected: bool
    content: str

    def record(self) -> Row:
        """As a line of ``refused.jsonl``."""
        return self._asdict()

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}"
