from pathlib import Path
import re
import subprocess
import sys
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from raycalib.errors import DataError, StorageError
from raycalib.storage import Location, find_shards, read_rows, read_shard, read_vectors, write_shard

SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("label", pa.int8()),
        pa.field("options", pa.list_(pa.string()), nullable=False),
    ]
)
ROWS: list[dict[str, Any]] = [
    {"row_id": "é\n1", "score": 0.1, "label": 1, "options": ["a", "b"]},
    {"row_id": "2", "score": None, "label": None, "options": []},
]


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return Location(f"memory://{uuid4().hex}/stage" if request.param == "memory" else str(tmp_path / "stage"))


def test_rows_come_back_in_order(place: Location) -> None:
    name = write_shard(place, 7, ROWS, SCHEMA)
    assert re.fullmatch(r"part-00007-[0-9a-f]{8}\.parquet", name)
    assert place.names() == [name]
    assert read_shard(place, name) == ROWS


VECTORS = pa.schema([pa.field("row_id", pa.string()), pa.field("feature", pa.list_(pa.float32()))])


def write_vectors(place: Location, vectors: list[list[float] | None]) -> str:
    return write_shard(place, 0, [{"row_id": str(i), "feature": v} for i, v in enumerate(vectors)], VECTORS)


def test_vectors_come_back_as_a_matrix_with_gaps(place: Location) -> None:
    found = read_vectors(place, write_vectors(place, [None, [1.5, 2.0], [], [3.0, 4.0]]), "feature")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[np.nan] * 2, [1.5, 2.0], [np.nan] * 2, [3.0, 4.0]])


@pytest.mark.parametrize("vectors", [[], [None, None], [[], None]])
def test_without_any_vector_the_matrix_has_no_width(place: Location, vectors: list[list[float] | None]) -> None:
    assert read_vectors(place, write_vectors(place, vectors), "feature").shape == (len(vectors), 0)


def test_vectors_of_several_lengths_are_refused(place: Location) -> None:
    with pytest.raises(DataError, match=r"the vectors in 'feature' have lengths \[1, 2\], not one"):
        read_vectors(place, write_vectors(place, [[1.0], [1.0, 2.0]]), "feature")


def test_an_empty_shard_is_a_shard(place: Location) -> None:
    name = write_shard(place, 0, [], SCHEMA)
    assert read_shard(place, name) == []
    assert find_shards(place) == {0: name}


def test_some_columns(place: Location) -> None:
    name = write_shard(place, 0, ROWS, SCHEMA)
    expected = [{"label": 1, "row_id": "é\n1"}, {"label": None, "row_id": "2"}]
    assert read_shard(place, name, ["label", "row_id"]) == expected


def test_a_column_that_is_not_there_is_named(place: Location) -> None:
    name = write_shard(place, 0, ROWS, SCHEMA)
    with pytest.raises(DataError, match="absent"):
        read_shard(place, name, ["row_id", "absent"])


def test_several_shards_one_after_the_other(place: Location) -> None:
    names = [write_shard(place, index, [row], SCHEMA) for index, row in enumerate(ROWS)]
    assert list(read_rows(place, names)) == ROWS
    assert list(read_rows(place, names[::-1], ["row_id"])) == [{"row_id": "2"}, {"row_id": "é\n1"}]


@pytest.mark.parametrize("column", ["row_id", "options"])
def test_an_empty_value_where_one_is_needed_is_refused(place: Location, column: str) -> None:
    with pytest.raises(DataError, match=rf"shard 3 of .*'{column}' has 1 empty values"):
        write_shard(place, 3, [ROWS[0], ROWS[1] | {column: None}], SCHEMA)
    assert place.names() == []


def test_a_missing_column_is_refused(place: Location) -> None:
    with pytest.raises(DataError, match="'row_id' has 2 empty values"):
        write_shard(place, 3, [{"score": 0.5, "options": []}] * 2, SCHEMA)


@pytest.mark.parametrize("wrong", [{"label": 300}, {"score": "high"}, {"options": 5}, {"row_id": 5}])
def test_a_value_of_another_type_is_refused(place: Location, wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"shard 3 of .* does not fit the schema"):
        write_shard(place, 3, [ROWS[0] | wrong], SCHEMA)
    assert place.names() == []


def test_an_attempt_never_overwrites_another(place: Location) -> None:
    names = {write_shard(place, 4, [row], SCHEMA) for row in ROWS}
    assert len(names) == 2
    assert set(place.names()) == names


def test_of_several_attempts_the_first_by_name_counts(place: Location) -> None:
    for name in ("part-00001-ffffffff.parquet", "part-00001-00000000.parquet", "part-00000-12345678.parquet"):
        place.write_bytes(name, b"")
    for name in ("manifest.json", "part-00002-0000.parquet", ".part-00003-00000000.parquet.tmp", "part-00004.parquet"):
        place.write_bytes(name, b"")
    assert find_shards(place) == {0: "part-00000-12345678.parquet", 1: "part-00001-00000000.parquet"}


def test_shards_beyond_the_hundred_thousandth_are_found(place: Location) -> None:
    names = {index: write_shard(place, index, ROWS[:1], SCHEMA) for index in (99_999, 100_000, 1_234_567)}
    assert find_shards(place) == names


def test_no_shards_where_nothing_is(place: Location) -> None:
    assert find_shards(place) == {}


@pytest.mark.parametrize("kept", [0, 20, 0.5, 0.95])
def test_a_shard_that_is_cut_off_is_a_data_error_with_a_remedy(place: Location, kept: float) -> None:
    name = write_shard(place, 0, ROWS, SCHEMA)
    content = place.read_bytes(name)
    place.write_bytes(name, content[: int(kept if kept > 1 else kept * len(content))])
    with pytest.raises(DataError, match=rf"{re.escape(name)} is not a readable Parquet file.*delete it and run again"):
        read_shard(place, name)


def test_a_shard_that_is_not_there_is_a_storage_error(place: Location) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        read_shard(place, "part-00000-00000000.parquet")


def test_no_thread_of_arrow_outlives_a_reading(tmp_path: Path) -> None:
    """Else a process that ends after a reading is aborted in about one of ten times, however well it went."""
    script = f"""
import psutil
from raycalib.storage import Location, read_shard, write_shard
import pyarrow as pa
place = Location({str(tmp_path)!r})
before = psutil.Process().num_threads()
schema = pa.schema([(name, pa.string()) for name in "abcdefgh"])
name = write_shard(place, 0, [dict.fromkeys("abcdefgh", "text")] * 1000, schema)
assert len(read_shard(place, name)) == 1000
print(psutil.Process().num_threads() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"]
