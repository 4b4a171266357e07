"""A stage is finished where its manifest is there and what this counts on is whole."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest

from raycalib.errors import DataError
from raycalib.records import ANSWER
from raycalib.stages.given.answer_files import open_answers
from raycalib.stages.output import drop_damaged_shards, finished
from raycalib.storage import Location, Manifest, find_shards, read_shard, write_manifest, write_shard
from tests.stages.answers import answer

SCHEMA = pa.schema([("row_id", pa.string()), ("score", pa.float64())])


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return Location(f"memory://{uuid4().hex}/stage" if request.param == "memory" else str(tmp_path / "stage"))


def write_stage(place: Location, **more: Any) -> tuple[str, ...]:
    names = tuple(write_shard(place, i, [{"row_id": str(i), "score": i / 3}], SCHEMA) for i in range(3))
    (place / "adapter").write_bytes("weights", b"12345")
    (place / "checkpoints" / "step-1").write_bytes("weights", b"12")
    write_manifest(place, Manifest(stage="s", key="k", config={}, shards=names), besides=("adapter", "absent"))
    return names


def test_a_whole_stage_is_finished(place: Location) -> None:
    names = write_stage(place)
    done = finished(place, "k")
    assert done is not None
    assert done.shards == names
    assert set(done.manifest.sizes) == {*names, "adapter/weights"}
    assert drop_damaged_shards(place, "k") == []
    assert finished(place, "other") is None


def test_what_does_not_make_up_the_stage_may_go(place: Location) -> None:
    write_stage(place)
    (place / "checkpoints").remove()
    assert finished(place, "k") is not None


@pytest.mark.parametrize("change", [None, b"", b"PAR1", b"more than there was before" * 100])
def test_a_shard_that_is_gone_or_not_whole_is_made_again(place: Location, change: bytes | None) -> None:
    names = write_stage(place)
    if change is None:
        (place / names[1]).remove()
    else:
        place.write_bytes(names[1], change)
    assert finished(place, "k") is None
    assert drop_damaged_shards(place, "other") == []
    assert drop_damaged_shards(place, "k") == [names[1]]
    assert find_shards(place) == {0: names[0], 2: names[2]}


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_adapter_leaves_the_stage_unfinished(place: Location, lost: bool) -> None:
    names = write_stage(place)
    if lost:
        (place / "adapter").remove()
    else:
        (place / "adapter").write_bytes("weights", b"123")
    assert finished(place, "k") is None
    assert drop_damaged_shards(place, "k") == []
    assert set(find_shards(place).values()) == set(names)


def test_a_manifest_of_an_earlier_version_names_its_shards_alone(place: Location) -> None:
    names = write_stage(place)
    values = place.read_json("manifest.json")
    del values["sizes"]
    place.write_json("manifest.json", values)
    assert finished(place, "k") is not None
    (place / names[2]).remove()
    assert finished(place, "k") is None


def test_each_bit_of_a_shards_pages_counts(place: Location) -> None:
    rows = [{"row_id": f"row {i}", "score": i / 7} for i in range(50)]
    name = write_shard(place, 0, rows, SCHEMA)
    content = place.read_bytes(name)
    end_of_pages = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    n_silent = 0
    for at in range(4, end_of_pages, 3):
        damaged = bytearray(content)
        damaged[at] ^= 1
        place.write_bytes(name, bytes(damaged))
        try:
            n_silent += read_shard(place, name) != rows
        except DataError as error:
            assert "delete it and run again" in str(error)  # noqa: PT017 — not every bit is an error
    assert n_silent == 0


def test_answers_of_a_stage_that_lost_a_shard_are_refused(tmp_path: Path) -> None:
    place = Location(str(tmp_path / "stage"))
    names = tuple(write_shard(place, i, [answer("a", "Rome", "Rome")], ANSWER) for i in range(2))
    write_manifest(place, Manifest(stage="answers", key="k", config={}, shards=names, counts={"out": 2}))
    (place / names[1]).remove()
    with pytest.raises(DataError, match=rf"{names[1]} of its manifest\.json are gone or damaged; run again what made"):
        open_answers(place.uri, Location(str(tmp_path / "out")), 10)
