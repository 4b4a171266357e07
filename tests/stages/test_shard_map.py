"""What a process says of a worker that cannot be built; no Ray here."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raycalib.errors import ModelError
from raycalib.records import Row
from raycalib.stages.output import StageError, StageOutput
from raycalib.stages.pools import shard_map, shard_stage
from raycalib.stages.pools.shard_map import ShardMap, ShardTarget
from raycalib.stages.pools.shard_stage import run_shard_stage
from raycalib.stages.pools.shard_work import ShardWork
from raycalib.stages.pools.spec import ShardStage
from raycalib.storage import Location, Manifest, find_shards, read_shard, write_manifest, write_shard

SCHEMA = pa.schema([pa.field("row_id", pa.string(), nullable=False), ("error", pa.string())])


class Worker:
    """Fails to be built, or at a shard, with the error that it is configured with."""

    built = 0

    def __init__(self, config: tuple[str, Exception]) -> None:
        self.where, self.error = config
        Worker.built += 1
        if self.where == "build":
            raise self.error

    def process(self, rows: list[Row]) -> list[Row]:
        raise self.error


def source_in(folder: Path) -> StageOutput:
    place = Location(str(folder / "in"))
    names = tuple(write_shard(place, shard, [{"row_id": f"r{shard}", "error": None}], SCHEMA) for shard in range(3))
    manifest = Manifest(stage="in", key="k", config={}, shards=names, counts={"out": 3})
    write_manifest(place, manifest)
    return StageOutput(place=place, manifest=manifest, was_done=False)


def mapped(config: tuple[str, Exception], source: StageOutput, folder: Path) -> ShardMap:
    return ShardMap(Worker, config, [ShardTarget(source.place, Location(str(folder / "out")), SCHEMA)])


def test_a_model_that_cannot_be_loaded_is_said_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = source_in(tmp_path)
    work = mapped(("build", ModelError("model: no layer 1")), source, tmp_path)
    Worker.built = 0
    for shard in range(2):
        status = work({"work": [0], "shard": [shard], "name": [source.shards[shard]]})
        assert status["unusable"] == ["model: no layer 1"]
        assert "model: no layer 1" in status["cause"][0]
    assert Worker.built == 1
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "config", [("build", ValueError("a setting")), ("process", ModelError("more options than letters"))]
)
def test_other_faults_are_a_shards_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: tuple[str, Exception]
) -> None:
    source = source_in(tmp_path)
    status = mapped(config, source, tmp_path)({"work": [0], "shard": [0], "name": [source.shards[0]]})
    assert status["unusable"] == [""]
    assert str(config[1]) in status["cause"][0]
    assert "Traceback" in capsys.readouterr().err


class BusyWorker(Worker):
    """Cannot be built while the file of its configuration is there."""

    def __init__(self, config: Path) -> None:
        Worker.built += 1
        if config.exists():
            raise ModelError("cannot load") from RuntimeError("CUDA error: out of memory")

    def process(self, rows: list[Row]) -> list[Row]:
        return rows


def test_a_process_whose_device_is_busy_tries_again_at_each_shard_and_spoils_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that failed at once would take all shards while the others still load."""
    monkeypatch.setattr(shard_map, "BUILD_WAIT_S", 0.0)
    source, busy = source_in(tmp_path), tmp_path / "busy"
    busy.touch()
    work = ShardMap(BusyWorker, busy, [ShardTarget(source.place, Location(str(tmp_path / "out")), SCHEMA)])
    Worker.built = 0
    for shard in range(2):
        status = work({"work": [0], "shard": [shard], "name": [source.shards[shard]]})
        assert (status["built"], status["unusable"]) == ([False], [""])
        assert status["cause"] == ["ModelError: cannot load"]
    assert Worker.built == 2 * shard_map.BUILD_ATTEMPTS
    busy.unlink()
    status = work({"work": [0], "shard": [0], "name": [source.shards[0]]})
    assert (status["built"], status["rows"], status["cause"]) == ([True], [1], [""])


class FreeCluster:
    """Has a share for every pool."""

    def share(self, title: str) -> Any:
        return nullcontext()


@pytest.mark.parametrize("is_model", [True, False])
def test_a_stage_ends_at_the_first_shard_whose_model_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_model: bool
) -> None:
    source, asked = source_in(tmp_path), []

    def statuses(parts: Sequence[ShardWork], cluster: Any) -> Any:
        error = ModelError("model: no layer 1") if is_model else ValueError("a setting")
        work = mapped(("build", error), source, tmp_path)
        for index in parts[0].missing:
            asked.append(index)
            status = work({"work": [0], "shard": [index], "name": [source.shards[index]]})
            yield {name: value[0] for name, value in status.items()}

    monkeypatch.setattr(shard_stage, "shard_statuses", statuses)
    stage = ShardStage(
        name="s", variant="v", worker=Worker, config=None, identity={}, schema=SCHEMA, needs_model=True
    )  # fmt: skip
    expected = ModelError if is_model else StageError
    with pytest.raises(expected, match=r"^model: no layer 1$" if is_model else r"3 of 3 shards failed"):
        run_shard_stage(stage, source, Location(str(tmp_path / "run")), FreeCluster())  # type: ignore[arg-type]
    assert asked == ([0] if is_model else [0, 1, 2])


class TaskedWorker:
    """Has two things that it can do."""

    def __init__(self, config: None) -> None: ...

    def process_task(self, task: str, rows: list[Row]) -> list[Row]:
        return [row | {"error": task} for row in rows]


def test_a_worker_does_each_stage_by_its_task_and_writes_where_it_belongs(tmp_path: Path) -> None:
    source, places = source_in(tmp_path), [Location(str(tmp_path / name)) for name in "ab"]
    targets = [ShardTarget(source.place, place, SCHEMA, task=place.uri[-1]) for place in places]
    work = ShardMap(TaskedWorker, None, targets)
    for index in (1, 0):
        status = work({"work": [index], "shard": [2], "name": [source.shards[2]]})
        assert (status["work"], status["rows"], status["cause"]) == ([index], [1], [""])
    for place, task in zip(places, "ab", strict=True):
        (name,) = find_shards(place).values()
        assert read_shard(place, name) == [{"row_id": "r2", "error": task}]
