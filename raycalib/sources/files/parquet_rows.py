"""The rows of a parquet file."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from pyarrow import parquet

from raycalib.sources.files.arrow_rows import arrow_rows, rows_at_once
from raycalib.sources.files.raw_row import RawRow, check_names

READ_AHEAD_BYTES = 2**20


def parquet_columns(path: Path) -> list[str]:
    """The names of the columns, those inside structs left out."""
    return check_names(path, parquet.read_schema(path).names)


def read_parquet(path: Path, columns: Sequence[str] | None) -> Iterator[RawRow]:
    """The rows; of the columns named those that are there.

    A column chunk is read a piece at a time, and as many rows at once as fit by the size that the file states.
    """
    number = 0
    with parquet.ParquetFile(path, buffer_size=READ_AHEAD_BYTES, pre_buffer=False) as file:
        names = check_names(path, file.schema_arrow.names)
        wanted = names if columns is None else [name for name in columns if name in names]
        if not wanted:
            yield from (RawRow(number, {}) for number in range(1, file.metadata.num_rows + 1))
            return
        sizes = [
            (_rows_of_group(file.metadata.row_group(group), wanted), group) for group in range(file.num_row_groups)
        ]
        for step, same in groupby(sizes, key=lambda size: size[0]):
            groups = [group for _, group in same]
            for batch in file.iter_batches(batch_size=step, row_groups=groups, columns=wanted):
                yield from arrow_rows(batch, number)
                number += batch.num_rows


def _rows_of_group(group: Any, wanted: Sequence[str]) -> int:
    chunks = (group.column(index) for index in range(group.num_columns))
    size = sum(chunk.total_uncompressed_size for chunk in chunks if _is_of(chunk.path_in_schema, wanted))
    return rows_at_once(group.num_rows, size)


def _is_of(path: str, wanted: Sequence[str]) -> bool:
    return path in wanted or any(path.startswith(f"{name}.") for name in wanted)
