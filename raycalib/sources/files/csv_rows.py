"""The rows of a csv file."""

from collections.abc import Iterator, Sequence
import csv
from pathlib import Path
from typing import TextIO

from raycalib.sources.files.raw_row import CsvCell, RawRow, check_names, printable

CELL_LIMIT = 2**30


def csv_columns(path: Path) -> list[str]:
    """The names in the header."""
    with _opened(path) as file:
        return [printable(name) for name in check_names(path, next(csv.reader(file, strict=True), []))]


def read_csv(path: Path, columns: Sequence[str] | None) -> Iterator[RawRow]:
    """The rows with all their columns; a row of empty cells is none, but is numbered.

    Raises:
        csv.Error: the file ends inside quotes.
    """
    csv.field_size_limit(CELL_LIMIT)
    ended: list[bool] = []

    def lines(file: TextIO) -> Iterator[str]:
        yield from file
        ended.append(True)

    with _opened(path) as file:
        reader = csv.reader(lines(file), strict=True)
        header = check_names(path, next(reader, []))
        number = 0
        while True:
            number += 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if ended:
                    raise
                # The reader starts anew with the next line.
                yield RawRow(number, {}, f"cannot be read (line {reader.line_num}): {error}")
                continue
            if len(cells) == len(header):
                if any(cells):
                    yield RawRow(number, dict(zip(header, map(CsvCell, cells), strict=True)))
            elif any(cells):
                yield RawRow(number, {}, f"has {len(cells)} cells, the header {len(header)}")


def _opened(path: Path) -> TextIO:
    # Bytes that are no UTF-8 become lone surrogates, which refuse their row and not the file.
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
