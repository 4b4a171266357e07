"""The shard machinery on a local Ray: whole shards, missing ones redone, a shard that kills its process."""

from dataclasses import dataclass, replace
import os
from pathlib import Path
import signal
import time

import pyarrow as pa
import pytest
import ray

from raycalib.records import Row
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageError, StageOutput
from raycalib.stages.settings import RaySettings
from raycalib.stages.shard_stage import ShardStage, run_shard_stage
from raycalib.storage import Location, Manifest, find_shards, read_rows, write_manifest, write_shard

# Ray itself warns of its own deprecations.
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]

SCHEMA = pa.schema([pa.field("row_id", pa.string(), nullable=False), ("value", pa.int64()), ("error", pa.string())])


@dataclass(frozen=True)
class DoublingConfig:
    """``deadly``: a value that ends the process; ``bad``: one whose whole shard raises; ``log``: worker's journal."""

    deadly: int
    bad: int
    log: str


class DoublingWorker:
    def __init__(self, config: DoublingConfig) -> None:
        self.config = config

    def process(self, rows: list[Row]) -> list[Row]:
        with Path(self.config.log).open("a", encoding="utf-8") as file:
            file.write(f"{rows[0]['row_id']}\n")
        if any(row["value"] == self.config.deadly for row in rows):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(row["value"] == self.config.bad for row in rows):
            raise RuntimeError("this shard is bad")
        return [row | {"value": 2 * row["value"], "error": "odd" if row["value"] % 2 else None} for row in rows]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    joined = Cluster(RaySettings(max_workers=2))
    ray.init(address="local", num_cpus=2, num_gpus=2, _temp_dir=str(tmp_path_factory.mktemp("r")), log_to_driver=False)
    yield joined
    ray.shutdown()


@pytest.fixture
def source(tmp_path: Path) -> StageOutput:
    place = Location(str(tmp_path / "in"))
    names = [
        write_shard(
            place,
            shard,
            [{"row_id": f"r{10 * shard + i}", "value": 10 * shard + i, "error": None} for i in range(10)],
            SCHEMA,
        )
        for shard in range(6)
    ]
    manifest = Manifest(stage="in", key="k", config={}, shards=tuple(names), counts={"out": 60})
    write_manifest(place, manifest)
    return StageOutput(place=place, manifest=manifest, was_done=False)


def stage(tmp_path: Path, *, deadly: int = -1, bad: int = -1, needs_model: bool = True) -> ShardStage:
    return ShardStage(
        name="doubled",
        variant="v",
        worker=DoublingWorker,
        config=DoublingConfig(deadly, bad, str(tmp_path / "journal")),
        identity={"by": 2},
        schema=SCHEMA,
        needs_model=needs_model,
    )


def journal(tmp_path: Path) -> list[str]:
    path = tmp_path / "journal"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


@pytest.mark.parametrize("needs_model", [True, False])
def test_every_row_comes_out_once_and_in_order_and_a_rerun_does_nothing(tmp_path, source, cluster, needs_model):
    out = Location(str(tmp_path / "out"))
    done = run_shard_stage(stage(tmp_path, needs_model=needs_model), source, out, cluster)
    assert [row["value"] for row in done.rows()] == [2 * value for value in range(60)]
    assert done.manifest.counts == {"in": 60, "out": 60, "errors": 30}
    assert not done.was_done
    worked = len(journal(tmp_path))
    again = run_shard_stage(stage(tmp_path, needs_model=needs_model), source, out, cluster)
    assert again.was_done
    assert len(journal(tmp_path)) == worked == 6


class MeetingWorker(DoublingWorker):
    """Goes on only once two processes are at work."""

    def process(self, rows: list[Row]) -> list[Row]:
        log, deadline = Path(self.config.log), time.monotonic() + 120
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        while len(set(log.read_text(encoding="utf-8").split())) < 2:
            if time.monotonic() > deadline:
                raise RuntimeError("no other process has come")
            time.sleep(0.05)
        return [row | {"value": 2 * row["value"]} for row in rows]


def test_all_workers_that_fit_are_at_work_at_once(tmp_path, source, cluster):
    meeting = replace(stage(tmp_path), worker=MeetingWorker)
    done = run_shard_stage(meeting, source, Location(str(tmp_path / "out")), cluster)
    assert done.manifest.counts == {"in": 60, "out": 60, "errors": 0}
    assert len(set(journal(tmp_path))) == 2


def test_a_bad_shard_is_named_and_a_rerun_does_only_that_one(tmp_path, source, cluster):
    out = Location(str(tmp_path / "out"))
    with pytest.raises(StageError, match=r"1 of 6 shards failed \(part-00002.*this shard is bad"):
        run_shard_stage(stage(tmp_path, bad=25), source, out, cluster)
    before = journal(tmp_path)
    done = run_shard_stage(stage(tmp_path), source, out, cluster)
    assert journal(tmp_path)[len(before) :] == ["r20"]
    assert [row["value"] for row in done.rows()] == [2 * value for value in range(60)]


@pytest.mark.parametrize("needs_model", [True, False])
def test_a_shard_that_kills_its_process_costs_itself_alone(tmp_path, source, cluster, needs_model):
    out = Location(str(tmp_path / "out"))
    with pytest.raises(StageError, match=r"1 of 6 shards failed \(part-00003"):
        run_shard_stage(stage(tmp_path, deadly=31, needs_model=needs_model), source, out, cluster)
    place = out / "doubled" / next(iter((out / "doubled").names()))
    shards = find_shards(place)
    assert 3 not in shards
    assert not place.exists("manifest.json")
    done = run_shard_stage(stage(tmp_path, needs_model=needs_model), source, out, cluster)
    assert sorted(find_shards(place)) == list(range(6))
    assert len(list(read_rows(done.place, done.shards))) == 60
