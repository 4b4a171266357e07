"""The rows of a stage as one csv or jsonl file beside its shards, for other programs. No Ray."""

from collections.abc import Iterator
import csv
import io
import json
from typing import Any, BinaryIO, Literal

import pyarrow as pa

from raycalib.errors import ConfigError
from raycalib.hashing import stable_hash
from raycalib.records import Row
from raycalib.stages.output import StageOutput
from raycalib.storage import read_schema, read_tables, rows_without_secrets
from raycalib.storage.csv_cells import write_cell

FileFormat = Literal["csv", "jsonl"]
FORMATS = ("csv", "jsonl")
EXPORT_VERSION = 1
"""Goes up where a file's content changes; older files are then written again."""

NOT_IN_CSV = frozenset({"feature"})
"""A vector of thousands of numbers is no cell."""


def export_rows(output: StageOutput, file_format: FileFormat) -> str:
    r"""Writes all rows of a stage as ``rows.csv`` or ``rows.jsonl`` beside its shards and returns where it lies.

    The file is there whole or not at all, and written again only where the stage's shards are others: what it was made
    of is kept beside it in ``rows.csv.json``. The manifest knows of neither.

    In csv, lists are JSON and null is an empty cell; texts that a spreadsheet would run as formulas begin with an
    apostrophe (``storage/csv_cells.py``); the vector column ``feature`` is left out. Both are UTF-8. In jsonl, as in
    Python's ``json``, numbers that are not finite are ``NaN``, ``Infinity`` and ``-Infinity``.

    Args:
        output: a finished stage: answers, labelled answers, features, scored answers or predictions.
        file_format: which kind of file.

    Raises:
        ConfigError: no such format.
        StorageError: a shard cannot be read, or the file cannot be written.
    """
    if file_format not in FORMATS:
        raise ConfigError(f"file_format: {file_format!r} is none of {', '.join(FORMATS)}; choose one of them")
    name = f"rows.{file_format}"
    made_of = stable_hash("export", EXPORT_VERSION, file_format, output.key, list(output.shards))
    if not _is_there(output, name, made_of):
        with output.place.writing(name) as file:
            _write(output, file_format, file)
            n_bytes = file.tell()
        output.place.write_json(_record_name(name), {"made_of": made_of, "bytes": n_bytes})
    return (output.place / name).uri


def _record_name(name: str) -> str:
    return f"{name}.json"


def _is_there(output: StageOutput, name: str, made_of: str) -> bool:
    sizes = output.place.sizes()
    if name not in sizes or _record_name(name) not in sizes:
        return False
    return bool(output.place.read_json(_record_name(name)) == {"made_of": made_of, "bytes": sizes[name]})


def _write(output: StageOutput, file_format: FileFormat, file: BinaryIO) -> None:
    """One shard at a time: all rows need not fit into memory."""
    schema = read_schema(output.place, output.shards[0]) if output.shards else pa.schema([])
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        if file_format == "jsonl":
            text.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in _rows(output, schema, None))
        else:
            cells = [name for name in schema.names if name not in NOT_IN_CSV]
            _write_csv(_rows(output, schema, cells), schema, text)
    finally:
        text.detach()  # the file is closed by who opened it


def _rows(output: StageOutput, schema: pa.Schema, columns: list[str] | None) -> Iterator[Row]:
    for table in read_tables(output.place, output.shards, columns):
        yield from rows_without_secrets(table.to_pylist(), schema)


def _write_csv(rows: Iterator[Row], schema: pa.Schema, text: Any) -> None:
    fields = [field for field in schema if field.name not in NOT_IN_CSV]
    writer = csv.writer(text)  # lines end in \r\n, so that both are quoted within cells
    writer.writerow([field.name for field in fields])
    for row in rows:
        writer.writerow([write_cell(row[field.name], field) for field in fields])
