"""Questions of a file that are only asked, as shards. No Ray."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from raycalib.errors import DataError
from raycalib.hashing import stable_hash
from raycalib.records import ASKED, Row
from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.own.columns import ColumnNames, OwnColumns, find_columns
from raycalib.sources.own.options import read_options
from raycalib.sources.own.peek import PEEKED_ROWS, peek
from raycalib.sources.own.values import needed_text, optional_text
from raycalib.sources.reading import local_table
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place, text_slug
from raycalib.storage import Location, Manifest, write_manifest, write_shard

VERSION = 1
"""Goes up where rows are read otherwise."""


def write_asked(path: str, out: Location, rows_per_shard: int, named: ColumnNames | None = None) -> StageOutput:
    """The questions of a jsonl, csv or parquet file in shards; a row that is none stays, with its ``error``.

    Args:
        path: of the file.
        out: the run's directory.
        rows_per_shard: at most so many.
        named: columns that are not found by their usual names.

    Raises:
        DataError: the file cannot be read, has no rows, or no column with questions.
    """
    table = local_table(Path(path))
    columns = find_columns(table.place, table.columns(), named or ColumnNames(), needs_answer=False)
    identity = {
        "version": VERSION,
        "file": table.fingerprint(),
        "columns": columns.describe(),
        "rows_per_shard": rows_per_shard,
    }
    key = stage_key("asked_questions", identity, [])
    place = stage_place(out, "asked_questions", text_slug(Path(path).stem), key)
    if done := finished(place, key):
        return done
    say(f"  {table.place}: {columns.describe()}")
    columns = peek(columns, list(islice(table.rows(None), PEEKED_ROWS))).told(columns)
    rows, shards, n_rows, n_errors = _rows(columns, table.rows(None)), list[str](), 0, 0
    while of_shard := list(islice(rows, rows_per_shard)):
        shards.append(write_shard(place, len(shards), of_shard, ASKED))
        n_rows += len(of_shard)
        n_errors += sum(1 for row in of_shard if row["error"])
    if not n_rows:
        raise DataError(f"in: {path} has no rows")
    counts = {"in": n_rows, "out": n_rows, "errors": n_errors}
    write_manifest(
        place, Manifest(stage="asked_questions", key=key, config=identity, shards=tuple(shards), counts=counts)
    )
    written = finished(place, key)
    assert written is not None, "it was just written"
    return StageOutput(place=place, manifest=written.manifest, was_done=False)


def _rows(columns: OwnColumns, rows: Iterable[RawRow]) -> Iterator[Row]:
    for number, values, fault in rows:
        row: Row = {"number": number, "question": "", "options": [], "context": "", "error": fault or None}
        if not fault:
            try:
                row["question"] = needed_text(values, columns.question or "", columns)
                row["options"] = list(read_options(values, columns).texts)
                row["context"] = optional_text(values, "context", columns.context, columns)
            except UnusableRowError as error:
                row["error"] = str(error)
        yield {"row_id": stable_hash(number, row["question"], row["options"], row["context"]), **row}
