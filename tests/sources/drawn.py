"""What the tests of drawing share: files of rows, and everything that is drawn from a source."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from raycalib.records import Row
from raycalib.sources import DrawTally, RefusedRow, SourceSettings
from raycalib.sources.drawing.draw import draw_style
from raycalib.sources.drawing.plan import Plan

ENDINGS = (".jsonl", ".csv", ".parquet")


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    """A jsonl, csv or parquet file with these records; lists and structs are JSON in a csv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    else:
        names = list(dict.fromkeys(name for record in records for name in record))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows([_cell(record.get(name)) for name in names] for record in records)
    return path


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict) else value


class Drawn:
    """All rows of a source in one style, refused ones apart, with what was counted."""

    def __init__(self, name: str, style: str = "oe", seed: int = 0, **settings: Any) -> None:
        self.tally = DrawTally()
        found = list(draw_style(Plan(SourceSettings(name=name, **settings), seed), style, self.tally))
        self.rows: list[Row] = [drawn for drawn in found if not isinstance(drawn, RefusedRow)]
        self.refused = [drawn for drawn in found if isinstance(drawn, RefusedRow)]

    def split(self, *names: str) -> list[Row]:
        """The rows of some splits."""
        return [row for row in self.rows if row["split"] in names]

    def ids(self) -> list[str]:
        """All row_ids."""
        return [row["row_id"] for row in self.rows]


def check_counts(drawn: Drawn) -> None:
    """Every row read is a question, refused, or left out."""
    tally = drawn.tally
    assert tally.read.total() == tally.drawn.total() + tally.refused.total() + tally.left_out.total()
    assert (tally.drawn.total(), tally.refused.total()) == (len(drawn.rows), len(drawn.refused))
