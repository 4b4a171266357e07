"""Shards with rows that a later run should do: written as they are, and not counted as finished.

A file of the stage is never changed. A shard in which rows are ``retryable`` is written under a name of its own
(``parked-00003-….parquet``), which is not a shard's, so that the stage is not complete and gets no manifest. The next
run reads it, does the rows that are retryable, and writes the whole shard. Parked files stay, as the record of what
went wrong and of what it cost.
"""

from collections.abc import Mapping, Sequence
import io
import json
import re
from uuid import uuid4

import pyarrow as pa
from pyarrow import parquet

from raycalib.records import Row
from raycalib.storage import Location, read_shard, rows_without_secrets

PARKED_NAME = re.compile(r"parked-(\d{5,})-[0-9a-f]{8}\.parquet")
RETRYABLE = "retryable"
FIGURES_KEY = b"raycalib.figures"
KEPT_ON_THE_WAY = ("row_id", "target", "answer")
"""Columns that no stage changes in a row that has them."""


def write_parked(place: Location, index: int, rows: list[Row], schema: pa.Schema) -> None:
    """Keeps the rows of a shard of which some are to be done again."""
    buffer = io.BytesIO()
    parquet.write_table(
        pa.Table.from_pylist(rows_without_secrets(rows, schema), schema=schema),
        buffer,
        compression="zstd",
        write_page_checksum=True,
    )
    place.write_bytes(f"parked-{index:05d}-{uuid4().hex[:8]}.parquet", buffer.getvalue())


def settled_rows(place: Location, index: int, given: Sequence[Row]) -> list[Row | None]:
    """The rows of a shard that earlier runs finished, in any of its parked files; None where a row is to be done.

    A parked file holds its whole shard in order, so rows are matched by place: two answers to one question may share
    an id. A parked row that was made from another answer than the one given does not count.
    """
    settled: list[Row | None] = [None] * len(given)
    for name in parked_names(place, index):
        for number, (row, parked) in enumerate(zip(given, read_shard(place, name), strict=False)):
            if settled[number] is None and not parked[RETRYABLE] and is_made_from(parked, row):
                settled[number] = parked
    return settled


def is_made_from(made: Row, given: Row) -> bool:
    """Whether a row of a stage's output may be that of a row of its input."""
    return all(made.get(name) == given[name] for name in KEPT_ON_THE_WAY if name in given)


def parked_names(place: Location, index: int | None = None) -> list[str]:
    """File names of all parked shards, or of those of one index."""
    beginning = "parked-" if index is None else f"parked-{index:05d}-"
    return [name for name in place.names(beginning) if PARKED_NAME.fullmatch(name)]


def with_figures(schema: pa.Schema, figures: Mapping[str, float]) -> pa.Schema:
    """The schema with what making the shard took in its metadata, where there is anything."""
    return (
        schema.with_metadata({FIGURES_KEY: json.dumps(dict(figures), sort_keys=True).encode()}) if figures else schema
    )


def add_figures(total: dict[str, float], schema: pa.Schema) -> None:
    """Adds what making a file took, by name, as the metadata of its schema say."""
    for key, value in json.loads((schema.metadata or {}).get(FIGURES_KEY, b"{}")).items():
        total[key] = total.get(key, 0) + value
