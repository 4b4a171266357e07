"""A shard that is written piece by piece is the one that is written at once."""

from pathlib import Path
import re
import tracemalloc
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from raycalib.errors import DataError, StorageError
from raycalib.secrets import remember
from raycalib.storage import Location, find_shards, read_shard, read_table, shard_writer, write_shard
from raycalib.storage.shard_writer import writing_shard

SCHEMA = pa.schema([pa.field("row_id", pa.string(), nullable=False), pa.field("score", pa.float64())])
ROWS: list[dict[str, Any]] = [{"row_id": f"é{n}", "score": None if n % 5 == 0 else n / 7} for n in range(40)]


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return Location(f"memory://{uuid4().hex}/stage" if request.param == "memory" else str(tmp_path / "stage"))


def test_pieces_come_to_the_same_file(place: Location) -> None:
    name = write_shard(place, 3, ROWS, SCHEMA)
    with writing_shard(place, 3, SCHEMA) as shard:
        for start in range(0, 40, 7):
            shard.add(table(ROWS[start : start + 7]))
    assert re.fullmatch(r"part-00003-[0-9a-f]{8}\.parquet", shard.name)
    assert place.read_bytes(shard.name) == place.read_bytes(name)


def test_without_rows_there_is_an_empty_shard(place: Location) -> None:
    with writing_shard(place, 0, SCHEMA) as shard:
        pass
    assert find_shards(place) == {0: shard.name}
    assert read_shard(place, shard.name) == []
    assert read_table(place, shard.name, ["score"]).num_rows == 0


def test_nothing_is_there_where_the_block_raises(place: Location) -> None:
    def fails() -> None:
        with writing_shard(place, 0, SCHEMA) as shard:
            shard.add(table(ROWS))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert place.names() == []


def test_rows_that_do_not_fit_are_refused(place: Location) -> None:
    with pytest.raises(DataError, match="'row_id' has 1 empty values"), writing_shard(place, 0, SCHEMA) as shard:
        shard.add(pa.table({"row_id": [None], "score": [1.0]}, schema=SCHEMA))
    with pytest.raises(DataError, match="do not fit"), writing_shard(place, 0, SCHEMA) as shard:
        shard.add(pa.table({"row_id": ["a"]}))
    assert place.names() == []


def test_a_full_disk_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", lambda path, mode: open("/dev/full", mode, buffering=0))  # noqa: SIM115
    with (
        pytest.raises(StorageError, match=r"cannot write .*No space left"),
        writing_shard(Location(str(tmp_path)), 0, SCHEMA) as shard,
    ):
        shard.add(table(ROWS))


def test_secrets_do_not_get_into_it(place: Location) -> None:
    remember("sk-0123456789abcdef")
    with writing_shard(place, 0, SCHEMA) as shard:
        shard.add(table([*ROWS, {"row_id": "said sk-0123456789abcdef", "score": 0.5}]))
    assert read_shard(place, shard.name) == [*ROWS, {"row_id": "said <key>", "score": 0.5}]


def test_what_is_held_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_writer, "GROUP_ROWS", 1000)
    held = list[int]()
    with writing_shard(Location(str(tmp_path)), 0, SCHEMA) as shard:
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        for number in range(60):
            ids = [f"{number}-{row}" for row in range(500)]
            shard.add(pa.table({"row_id": ids, "score": np.random.default_rng(number).random(500)}, schema=SCHEMA))
            held.append(pa.total_allocated_bytes() - before + tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert max(held[30:]) < 1.5 * max(held[:30])
    assert read_table(Location(str(tmp_path)), shard.name).num_rows == 30_000
