"""Some columns of a shard move little more than themselves, and are what a reading of the whole file gives."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raycalib.errors import DataError, StorageError
from raycalib.storage import Location, read_schema, read_shard, read_table, read_tables, read_vectors, write_shard
from raycalib.storage import shard_writer as shard_writer_module
from raycalib.storage import tables as tables_module
from raycalib.storage.shard_writer import writing_shard

SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("options", pa.list_(pa.string()), nullable=False),
        pa.field("first", pa.list_(pa.float32())),
        pa.field("error", pa.string()),
        pa.field("feature", pa.list_(pa.float32())),
        pa.field("score", pa.float64()),
    ]
)
N_ROWS, WIDTH = 300, 1024
VECTOR_BYTES = 4 * WIDTH * N_ROWS
"""Of one of the two columns of random vectors, which do not compress: 1.2 MB each."""


def rows() -> list[dict[str, Any]]:
    draw = np.random.default_rng(1)
    return [
        {
            "row_id": f"é{number}",
            "options": ["a"] * (number % 3),
            "first": draw.random(WIDTH, dtype=np.float32).tolist(),
            "error": "late" if number % 7 == 0 else None,
            "feature": None if number == 5 else draw.random(WIDTH, dtype=np.float32).tolist(),
            "score": float(draw.random()),
        }
        for number in range(N_ROWS)
    ]


@pytest.fixture(scope="module")
def stage() -> tuple[Location, str]:
    place = Location(f"memory://{uuid4().hex}/stage")
    return place, write_shard(place, 0, rows(), SCHEMA)


class Moved:
    """What is read of places."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.n_bytes = self.n_requests = self.n_asked = 0
        for name in ("read_bytes", "read_range", "size_of"):
            patched.setattr(Location, name, self._counted(getattr(Location, name)))

    def _counted(self, plain: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            found = plain(*arguments)
            self.n_asked += isinstance(found, int)
            if isinstance(found, bytes):
                self.n_requests += 1
                self.n_bytes += len(found)
            return found

        return counted


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Moved:
    return Moved(monkeypatch)


@pytest.mark.parametrize(
    ("columns", "n_requests"),
    [(["error"], 2), (["row_id", "error"], 3), (["score"], 1), (["row_id", "options"], 2), (["score", "options"], 2)],
)
def test_columns_beside_vectors_move_little(
    stage: tuple[Location, str], moved: Moved, columns: list[str], n_requests: int
) -> None:
    """The end of the file, and what lies apart from it: vectors of 1.2 MB lie between."""
    table = read_table(*stage, columns)
    assert moved.n_bytes < tables_module.TAIL_BYTES + 20_000 < VECTOR_BYTES / 10
    assert moved.n_requests == n_requests
    assert table.to_pylist() == [{name: row[name] for name in columns} for row in rows()]


def test_vectors_move_as_many_bytes_as_they_have(stage: tuple[Location, str], moved: Moved) -> None:
    found = read_vectors(*stage, "feature")
    assert np.isnan(found[5]).all()
    np.testing.assert_array_equal(found[6], np.float32(rows()[6]["feature"]))
    assert VECTOR_BYTES * 0.8 < moved.n_bytes < 1.6 * VECTOR_BYTES, "and not the other vectors"


def test_the_schema_alone_moves_little(stage: tuple[Location, str], moved: Moved) -> None:
    assert read_schema(*stage) == SCHEMA
    assert moved.n_bytes == tables_module.TAIL_BYTES


@pytest.mark.parametrize("scheme", ["local", "memory"])
def test_of_several_groups_of_rows_each_column_is_that_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(shard_writer_module, "GROUP_ROWS", 100)
    monkeypatch.setattr(tables_module, "WHOLE_BYTES", 0)
    place = Location(str(tmp_path) if scheme == "local" else f"memory://{uuid4().hex}")
    whole = pa.Table.from_pylist(rows(), schema=SCHEMA)
    with writing_shard(place, 0, SCHEMA) as shard:
        for start in range(0, N_ROWS, 75):
            shard.add(whole.slice(start, 75))
    assert shard.n_rows == N_ROWS
    for columns in ([name] for name in SCHEMA.names):
        assert read_table(place, shard.name, columns).equals(whole.select(columns))
    assert read_table(place, shard.name).equals(whole)


def test_a_small_file_is_fetched_whole_by_one_request(moved: Moved) -> None:
    place = Location(f"memory://{uuid4().hex}")
    names = [write_shard(place, index, rows()[:20], SCHEMA) for index in range(3)]
    assert [table.num_rows for table in read_tables(place, names, ["error"])] == [20] * 3
    assert (moved.n_requests, moved.n_asked) == (3, 0), "one listing says the sizes"
    assert moved.n_bytes == sum(place.sizes().values())


def test_a_damaged_page_of_a_column_that_is_read_is_a_data_error(stage: tuple[Location, str]) -> None:
    place, name = stage
    content = bytearray(place.read_bytes(name))
    content[20:24] = b"\xff" * 4  # in the page of row_id
    other = Location(f"memory://{uuid4().hex}")
    other.write_bytes(name, bytes(content))
    with pytest.raises(DataError, match=r"is not a readable Parquet file.*delete it and run again"):
        read_table(other, name, ["row_id"])


def test_a_number_that_is_damaged_is_seen_by_the_checksum_of_its_page(stage: tuple[Location, str]) -> None:
    """Random numbers are stored as they are, so that nothing else tells."""
    place, name = stage
    content = bytearray(place.read_bytes(name))
    with pq.ParquetFile(pa.BufferReader(bytes(content))) as file:
        chunk = next(c for c in file.metadata.row_group(0).to_dict()["columns"] if c["path_in_schema"][:7] == "feature")
    content[chunk["data_page_offset"] + chunk["total_compressed_size"] // 8] ^= 1
    other = Location(f"memory://{uuid4().hex}")
    other.write_bytes(name, bytes(content))
    with pytest.raises(DataError, match="is not a readable Parquet file: could not verify page integrity"):
        read_vectors(other, name, "feature")
    assert read_table(other, name, ["row_id"]).num_rows == N_ROWS


@pytest.mark.parametrize("kept", [0.2, 0.9, 0.999])
def test_a_large_shard_that_is_cut_off_is_a_data_error(stage: tuple[Location, str], kept: float) -> None:
    place, name = stage
    content = place.read_bytes(name)
    other = Location(f"memory://{uuid4().hex}")
    other.write_bytes(name, content[: int(kept * len(content))])
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        read_table(other, name, ["row_id"])
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        read_table(other, name, ["row_id"], len(content))  # a size that is no longer true


def test_a_store_that_fails_in_the_middle_is_no_damaged_file(
    stage: tuple[Location, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is told to delete a file that is whole loses it."""
    plain = Location.read_range

    def failing(place: Location, name: str, start: int, end: int) -> bytes:
        if start == place.sizes()[name] - tables_module.TAIL_BYTES:
            return plain(place, name, start, end)
        raise StorageError("cannot read it: busy")

    monkeypatch.setattr(Location, "read_range", failing)
    with pytest.raises(StorageError, match="cannot read it: busy"):
        read_table(*stage, ["row_id"])
    monkeypatch.setattr(tables_module.RangedFile, "fetch", lambda file, ranges: None)
    with pytest.raises(StorageError, match="cannot read it: busy"):
        read_table(*stage, ["row_id"])


def test_a_column_that_is_not_there_is_named(stage: tuple[Location, str]) -> None:
    with pytest.raises(DataError, match=r"lacks the columns \['absent'\]"):
        read_table(*stage, ["row_id", "absent"])


def test_a_shard_that_is_not_there_is_a_storage_error(stage: tuple[Location, str], tmp_path: Path) -> None:
    for place in (stage[0], Location(str(tmp_path))):
        with pytest.raises(StorageError, match="cannot read"):
            read_table(place, "part-00000-00000000.parquet", ["row_id"])


def test_all_columns_are_those_of_a_shard(stage: tuple[Location, str]) -> None:
    assert read_shard(*stage) == rows()
