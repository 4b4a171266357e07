"""Rows that hang on nearly equal logits are counted and listed."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from raycalib.stages.pools.close_rows import CLOSE_NAME, CloseRow, close_rows, list_close_rows
from raycalib.storage import Location, read_tables, write_shard

SCHEMA = pa.schema([pa.field("row_id", pa.string(), nullable=False), ("min_margin", pa.float64())])


def shards(place: Location, margins: list[list[float | None]]) -> list[str]:
    return [
        write_shard(place, n, [{"row_id": f"{n}-{i}", "min_margin": value} for i, value in enumerate(row)], SCHEMA)
        for n, row in enumerate(margins)
    ]


def test_rows_below_the_margin_are_listed_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Location(str(tmp_path))
    names = shards(place, [[0.5, 9e-5, None], [1e-4, 0.0]])
    found = [row for table in read_tables(place, names) for row in close_rows(table, "min_margin")]
    assert found == [CloseRow("0-1", 9e-5), CloseRow("1-1", 0.0)]
    assert list_close_rows(place, found, "answers m") == 2
    listed = [json.loads(line) for line in (tmp_path / CLOSE_NAME).read_text().splitlines()]
    assert listed == [{"row_id": "0-1", "min_margin": 9e-5}, {"row_id": "1-1", "min_margin": 0.0}]
    said = capsys.readouterr().out
    assert "answers m: 2 rows have two best logits closer than 0.0001" in said
    assert CLOSE_NAME in said


def test_where_none_is_close_nothing_is_written_or_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Location(str(tmp_path))
    (table,) = read_tables(place, shards(place, [[0.5]]))
    assert list_close_rows(place, list(close_rows(table, "min_margin")), "answers m") == 0
    assert not (tmp_path / CLOSE_NAME).exists()
    assert capsys.readouterr().out == ""
