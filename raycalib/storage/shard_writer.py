"""A shard written piece by piece, for what does not fit into memory."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raycalib.errors import DataError
from raycalib.secrets import hide
from raycalib.storage.location import Location
from raycalib.storage.shards import MESSAGES, check_table, new_shard_name, rows_without_secrets

GROUP_ROWS = 2**15
"""Rows that are held until they are written."""


class ShardWriter:
    """Takes the rows of a shard.

    Attributes:
        name: of its file.
        n_rows: so far.
    """

    def __init__(self, name: str, file: BinaryIO, schema: pa.Schema) -> None:
        self.name, self.n_rows = name, 0
        self._schema, self._held, self._n_held = schema, list[pa.Table](), 0
        self._file = pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True)

    def add(self, rows: pa.Table) -> None:
        """Takes rows, in order.

        Raises:
            DataError: they do not fit the schema.
            StorageError: they cannot be written.
        """
        if rows.schema != self._schema:
            raise DataError(f"shard {self.name}: rows with the columns {rows.schema} do not fit {self._schema}")
        check_table(rows, f"shard {self.name}")
        self._held.append(_without_secrets(rows))
        self.n_rows += len(rows)
        self._n_held += len(rows)
        if self._n_held >= GROUP_ROWS:
            self._write()

    def close(self) -> None:
        """Writes the last rows and the footer."""
        self._write()
        self._file.close()

    def give_up(self) -> None:
        """Ends a shard of which nothing is kept: Arrow would try to write it later, into a file that is closed."""
        with suppress(Exception):
            self._file.close()

    def _write(self) -> None:
        if self._n_held:
            self._file.write_table(pa.concat_tables(self._held).combine_chunks(), row_group_size=self._n_held)
        self._held, self._n_held = [], 0


@contextmanager
def writing_shard(place: Location, index: int, schema: pa.Schema) -> Iterator[ShardWriter]:
    """A shard that is there whole when the block ends, and not at all if it raises.

    Raises:
        DataError: rows do not fit the schema.
        StorageError: it cannot be written.
    """
    name = new_shard_name(index)
    with place.writing(name) as file:
        writer = ShardWriter(name, file, schema)
        try:
            yield writer
            writer.close()
        finally:
            writer.give_up()


def _without_secrets(rows: pa.Table) -> pa.Table:
    """The rows as they may be written; of texts that repeat themselves each is looked at once."""
    if not any(pa.types.is_nested(field.type) for field in rows.schema):
        texts = [column for column in rows.columns if pa.types.is_string(column.type)]
        joined = "\0".join(text for column in texts for text in pc.unique(column).to_pylist() if text is not None)
        if hide(joined, parts=not MESSAGES.isdisjoint(rows.column_names)) == joined:
            return rows
    return pa.Table.from_pylist(rows_without_secrets(rows.to_pylist(), rows.schema), schema=rows.schema)
