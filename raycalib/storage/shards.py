"""Parquet shards: 64 to 1,000 rows each, written whole under an attempt id."""

from collections.abc import Iterator, Sequence
import io
import re
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raycalib.errors import DataError
from raycalib.records import Row
from raycalib.secrets import hide, hide_all
from raycalib.storage.location import Location
from raycalib.storage.tables import read_table, read_tables, vectors_of

MESSAGES = {"error", "unscored_reason", "verdict", "judge"}
"""Columns with what servers and libraries say."""

SHARD_NAME = re.compile(r"part-(\d{5,})-[0-9a-f]{8}\.parquet")


def write_shard(place: Location, index: int, rows: Sequence[Row], schema: pa.Schema) -> str:
    """Writes the rows as one shard and returns its file name.

    The name holds an attempt id, so that a worker thought dead cannot overwrite the shard that counts.

    Raises:
        DataError: a row does not fit the schema.
        StorageError: the shard cannot be written.
    """
    what = f"shard {index} of {place.uri}"
    try:
        table = pa.Table.from_pylist(rows_without_secrets(rows, schema), schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{what}: a row does not fit the schema: {error}") from error
    check_table(table, what)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    name = new_shard_name(index)
    place.write_bytes(name, buffer.getvalue())
    return name


def new_shard_name(index: int) -> str:
    """The file name of an attempt at a shard."""
    return f"part-{index:05d}-{uuid4().hex[:8]}.parquet"


def check_table(table: pa.Table, what: str) -> None:
    """Raises DataError where a value is none of its column's, or empty where one is needed."""
    try:
        table.validate(full=True)
        _check_nulls(table)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{what}: a row does not fit the schema: {error}") from error


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
    rows: list[Row] = read_table(place, name, columns).to_pylist()
    return rows


def read_vectors(place: Location, name: str, column: str) -> np.ndarray:
    """(n, H) float32 vectors of a list column of one shard, a row of NaN where a row has none.

    Raises:
        StorageError: it cannot be read.
        DataError: it is not Parquet, the column is missing, or its vectors are not of one length.
    """
    table = read_table(place, name, [column])
    return vectors_of(table[column], f"{(place / name).uri}: the vectors in {column!r}")


def read_rows(place: Location, names: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows of several shards, one after the other."""
    for table in read_tables(place, names, columns):
        yield from table.to_pylist()
