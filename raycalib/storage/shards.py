"""Parquet shards: 64 to 1,000 rows each, written whole under an attempt id."""

from collections.abc import Iterator, Sequence
import io
import re
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raycalib.errors import DataError
from raycalib.records import Row
from raycalib.secrets import hide, hide_all
from raycalib.storage.location import Location

MESSAGES = {"error", "unscored_reason", "verdict", "judge"}
"""Columns with what servers and libraries say."""

SHARD_NAME = re.compile(r"part-(\d{5})-[0-9a-f]{8}\.parquet")


def write_shard(place: Location, index: int, rows: Sequence[Row], schema: pa.Schema) -> str:
    """Writes the rows as one shard and returns its file name.

    The name holds an attempt id, so that a worker thought dead cannot overwrite the shard that counts.

    Raises:
        DataError: a row does not fit the schema.
        StorageError: the shard cannot be written.
    """
    try:
        table = pa.Table.from_pylist(rows_without_secrets(rows, schema), schema=schema)
        table.validate(full=True)
        _check_nulls(table)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"shard {index} of {place.uri}: a row does not fit the schema: {error}") from error
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    name = f"part-{index:05d}-{uuid4().hex[:8]}.parquet"
    place.write_bytes(name, buffer.getvalue())
    return name


def rows_without_secrets(rows: Sequence[Row], schema: pa.Schema) -> list[Row]:
    """The rows as they may be written: without secrets, and where others' messages stand without parts of them."""
    cleaned = list(rows)
    messages = [name for name in schema.names if name in MESSAGES]
    for names, parts in (([name for name in schema.names if name not in MESSAGES], False), (messages, True)):
        texts = "\0".join(text for row in cleaned for name in names for text in _texts(row.get(name)))
        if hide(texts, parts=parts) != texts:
            cleaned = [row | {name: hide_all(row.get(name), parts=parts) for name in names} for row in cleaned]
    return cleaned


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple) and value and not isinstance(value[0], float):
        yield from (text for part in value for text in _texts(part))


def _check_nulls(table: pa.Table) -> None:
    for field in table.schema:
        if not field.nullable and table[field.name].null_count:
            raise pa.ArrowInvalid(f"column {field.name!r} has {table[field.name].null_count} empty values")


def find_shards(place: Location) -> dict[int, str]:
    """File names of the finished shards by index; of several attempts the first in order of name."""
    found: dict[int, str] = {}
    for name in place.names():
        if match := SHARD_NAME.fullmatch(name):
            found.setdefault(int(match[1]), name)
    return found


def read_shard(place: Location, name: str, columns: Sequence[str] | None = None) -> list[Row]:
    """Rows of one shard, in order.

    Raises:
        StorageError: it cannot be read.
        DataError: it is not Parquet, or a column is missing.
    """
    rows: list[Row] = _read_table(place, name, columns).to_pylist()
    return rows


def read_vectors(place: Location, name: str, column: str) -> np.ndarray:
    """(n, H) float32 vectors of a list column of one shard, a row of NaN where a row has none.

    Raises:
        StorageError: it cannot be read.
        DataError: it is not Parquet, the column is missing, or its vectors are not of one length.
    """
    lists = _read_table(place, name, [column])[column].combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    sizes = np.unique(lengths[lengths > 0])
    if len(sizes) > 1:
        raise DataError(f"{(place / name).uri}: the vectors in {column!r} have lengths {sizes.tolist()}, not one")
    vectors = np.full((len(lengths), int(sizes[0]) if len(sizes) else 0), np.nan, dtype=np.float32)
    if len(sizes):
        vectors[lengths > 0] = lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, vectors.shape[1])
    return vectors


def _read_table(place: Location, name: str, columns: Sequence[str] | None) -> pa.Table:
    content = place.read_bytes(name)
    try:
        table = _parse(content, columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{(place / name).uri} is not a readable Parquet file: {error}; delete it and run again"
        ) from error
    missing = set(columns or ()) - set(table.column_names)
    if missing:
        raise DataError(f"{(place / name).uri} lacks the columns {sorted(missing)}; it has {table.column_names}")
    return table


def _parse(content: bytes, columns: Sequence[str] | None) -> pa.Table:
    """The table, read in this thread: Arrow's own threads may still hold Python objects when a process ends, and then
    the C++ runtime aborts it ("terminate called without an active exception").
    """
    with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False, page_checksum_verification=True) as file:
        return file.read(columns=list(columns) if columns else None, use_threads=False)


def read_rows(place: Location, names: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows of several shards, one after the other."""
    for name in names:
        yield from read_shard(place, name, columns)


def read_schema(place: Location, name: str) -> pa.Schema:
    """The columns of one shard with their types.

    Raises:
        StorageError: it cannot be read.
        DataError: it is not Parquet.
    """
    return _read_table(place, name, None).schema
