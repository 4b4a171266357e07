"""Columns of shards, without the rest of their files: hidden states are a thousand times the size of all else."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raycalib.errors import DataError
from raycalib.storage.ahead import AT_ONCE, in_order
from raycalib.storage.location import Location
from raycalib.storage.ranged_file import RangedFile

WHOLE_BYTES = 2**19
"""A file of no more bytes is fetched whole: the rest of it costs less than another request."""

TAIL_BYTES = 2**16
"""Of a larger one so much of its end is fetched first: as much as Arrow reads of it to find the footer."""


def read_table(place: Location, name: str, columns: Sequence[str] | None = None, size: int | None = None) -> pa.Table:
    """One shard, or some of its columns.

    Args:
        place: of the stage.
        name: of the shard.
        columns: that are wanted; None is all, and reads the whole file.
        size: of the file in bytes, where it is known; it is asked for otherwise, if need be.

    Raises:
        StorageError: it cannot be read.
        DataError: it is not Parquet, or a column is missing.
    """
    source = _open(place, name, columns, size)
    try:
        table = _parse(source, columns)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(place, name, error) from error
    missing = set(columns or ()) - set(table.column_names)
    if missing:
        raise DataError(f"{(place / name).uri} lacks the columns {sorted(missing)}; it has {table.column_names}")
    return table


def read_tables(place: Location, names: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Several shards one after the other; of an object store a few are read ahead."""
    sizes = sizes_of(place, names)
    yield from in_order(lambda name: read_table(place, name, columns, sizes.get(name)), names, at_once_of(place))


def sizes_of(place: Location, names: Sequence[str]) -> dict[str, int]:
    """Bytes of the files of a place, by one listing instead of a request for each; empty where only one is wanted."""
    return place.sizes() if len(names) > 1 else {}


def at_once_of(*places: Location) -> int:
    """How many shards of these places are read at once: local ones do not wait for each other."""
    return 1 if all(place.is_local for place in places) else AT_ONCE


def read_schema(place: Location, name: str, size: int | None = None) -> pa.Schema:
    """The columns of one shard with their types, and what it says of itself.

    Raises:
        StorageError: it cannot be read.
        DataError: it is not Parquet.
    """
    source = _open(place, name, [], size)
    try:
        with pq.ParquetFile(source, pre_buffer=False) as file:
            return file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise _damaged(place, name, error) from error


def vectors_of(column: pa.ChunkedArray, what: str) -> np.ndarray:
    """(n, H) float32 vectors of a list column, a row of NaN where a row has none.

    Args:
        column: lists of numbers.
        what: it is, for an error.

    Raises:
        DataError: its vectors are not of one length.
    """
    lists = column.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    sizes = np.unique(lengths[lengths > 0])
    if len(sizes) > 1:
        raise DataError(f"{what} have lengths {sizes.tolist()}, not one")
    vectors = np.full((len(lengths), int(sizes[0]) if len(sizes) else 0), np.nan, dtype=np.float32)
    if len(sizes):
        vectors[lengths > 0] = lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, vectors.shape[1])
    return vectors


def _damaged(place: Location, name: str, error: Exception) -> DataError:
    cause = " ".join(str(error).split())
    return DataError(f"{(place / name).uri} is not a readable Parquet file: {cause}; delete it and run again")


def _open(place: Location, name: str, columns: Sequence[str] | None, size: int | None) -> pa.BufferReader | RangedFile:
    """The file whole, or with its end, where only some columns are wanted and it is large."""
    if columns is None and size is None:
        return pa.BufferReader(place.read_bytes(name))
    size = place.size_of(name) if size is None else size
    if columns is None or size <= WHOLE_BYTES:
        return pa.BufferReader(place.read_range(name, 0, size) if size else place.read_bytes(name))
    source = RangedFile(place, name, size)
    source.fetch([(size - TAIL_BYTES, size)])
    return source


def _parse(source: pa.BufferReader | RangedFile, columns: Sequence[str] | None) -> pa.Table:
    """The table, read in this thread: Arrow's own threads may still hold Python objects when a process ends, and then
    the C++ runtime aborts it ("terminate called without an active exception").
    """
    with pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as file:
        if isinstance(source, RangedFile):
            source.fetch(_chunks(file.metadata, set(columns or ())))
        return file.read(columns=None if columns is None else list(columns), use_threads=False)


def _chunks(metadata: pq.FileMetaData, columns: set[str]) -> Iterator[tuple[int, int]]:
    """Where the columns lie in the file, from start to end."""
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(index)
            if chunk.path_in_schema.partition(".")[0] in columns:
                start = min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset)
                yield start, start + chunk.total_compressed_size
