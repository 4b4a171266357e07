"""Raw rows of local parquet, jsonl and csv files, a batch at a time; a bad row is a fault, not an end."""

from collections.abc import Callable, Iterator, Sequence
import csv
from functools import partial
import hashlib
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from raycalib.errors import DataError
from raycalib.sources.files.csv_rows import csv_columns, read_csv
from raycalib.sources.files.jsonl_rows import read_jsonl
from raycalib.sources.files.parquet_rows import parquet_columns, read_parquet
from raycalib.sources.files.raw_row import RawRow

JSONL_ROWS_FOR_NAMES = 1000


class Table(NamedTuple):
    """The rows of one split, which can be read again and again.

    Attributes:
        place: the file, or the hub's dataset and split; for messages.
        rows: the rows from the first on; the columns named, where they can be read alone.
        columns: the names of the columns.
        fingerprint: changes when the rows do; empty where that is not known.
    """

    place: str
    rows: Callable[[Sequence[str] | None], Iterator[RawRow]]
    columns: Callable[[], list[str]]
    fingerprint: Callable[[], str]


def local_table(path: Path) -> Table:
    """A file as a table.

    Raises:
        DataError: no such file exists, or its ending is not known.
    """
    check_path(path)
    return Table(str(path), partial(read_raw, path), partial(column_names, path), partial(file_fingerprint, path))


def file_fingerprint(path: Path) -> str:
    """The first 16 digits of the SHA-256 of the file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise _unreadable(path, error) from error


def read_raw(path: Path, columns: Sequence[str] | None = None) -> Iterator[RawRow]:
    """The rows in the file's order; the file is never held whole.

    Nothing is interpreted: "None", "nan" and "NA" stay texts, and a cell of a csv is a ``CsvCell``.

    Args:
        path: ends in .parquet, .jsonl or .csv.
        columns: of a parquet, those to read where they are there; all by default.

    Raises:
        DataError: the file does not exist, has another ending or two columns of one name, or cannot be read on.
    """
    check_path(path)
    number = 0
    try:
        for row in READERS[path.suffix](path, columns):
            number = row.number
            yield row
    except (pa.ArrowException, OSError, csv.Error, ValueError, OverflowError) as error:
        raise _unreadable(path, error, f" after row {number}" if number else "") from error


def column_names(path: Path) -> list[str]:
    """The file's columns; of a jsonl those of its first thousand rows.

    Raises:
        DataError: see ``read_raw``.
    """
    check_path(path)
    try:
        if path.suffix == ".parquet":
            return parquet_columns(path)
        if path.suffix == ".csv":
            return csv_columns(path)
    except (pa.ArrowException, OSError, csv.Error) as error:
        raise _unreadable(path, error) from error
    names: dict[str, None] = {}
    for row in islice(read_raw(path), JSONL_ROWS_FOR_NAMES):
        names.update(dict.fromkeys(row.values))
    return list(names)


def check_path(path: Path) -> None:
    """Raises DataError if no such file exists or its ending is not known."""
    if path.suffix not in READERS:
        raise DataError(f"source: {path} has the ending {path.suffix!r}; allowed: {', '.join(READERS)}")
    if not path.is_file():
        raise DataError(f"source: the file {path} does not exist; check the path")


def _unreadable(path: Path, error: Exception, where: str = "") -> DataError:
    cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return DataError(f"source: {path} cannot be read{where}: {cause}; repair the file or take it away")


READERS: dict[str, Callable[[Path, Sequence[str] | None], Iterator[RawRow]]] = {
    ".parquet": read_parquet,
    ".jsonl": read_jsonl,
    ".csv": read_csv,
}
