"""A shard whose pages are damaged is a DataError."""

from pathlib import Path

import pyarrow as pa
import pytest

from raycalib.errors import DataError
from raycalib.storage import Location, read_shard, write_shard

SCHEMA = pa.schema([pa.field("row_id", pa.string(), nullable=False), pa.field("score", pa.float64())])
ROWS = [{"row_id": "1", "score": 0.1}, {"row_id": "2", "score": None}]


@pytest.fixture
def place(tmp_path: Path) -> Location:
    return Location(str(tmp_path / "stage"))


def test_a_shard_with_damaged_pages_is_a_data_error(place: Location) -> None:
    name = write_shard(place, 0, ROWS, SCHEMA)
    content = bytearray(place.read_bytes(name))
    content[4:60] = b"\xff" * 56
    place.write_bytes(name, bytes(content))
    with pytest.raises(DataError, match="delete it and run again"):
        read_shard(place, name)
