"""The shard machinery on a local Ray: whole shards, missing ones redone, a shard that kills its process."""

from dataclasses import dataclass, replace
import os
from pathlib import Path
import signal
import threading
import time

import pyarrow as pa
import pytest
import ray
import torch

from raycalib.records import Row
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageError, StageOutput
from raycalib.stages.pools.bounds import Bounds
from raycalib.stages.pools.shard_stage import run_shard_stage
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.settings import RaySettings
from raycalib.storage import Location, Manifest, find_shards, read_rows, read_shard, write_manifest, write_shard

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
            file.write(f"{rows[0]['row_id'] if rows else 'empty'}\n")
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
        bounds=Bounds(max_failed=0.5),  # the odd half of the rows fails
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


def test_shards_of_a_finished_stage_that_are_gone_or_damaged_are_made_again_and_no_other(tmp_path, source, cluster):
    out = Location(str(tmp_path / "out"))
    made = stage(tmp_path, needs_model=False)
    first = run_shard_stage(made, source, out, cluster)
    (first.place / first.shards[1]).remove()  # as an error told
    first.place.write_bytes(first.shards[4], first.place.read_bytes(first.shards[4])[:-20])
    second = run_shard_stage(made, source, out, cluster)
    assert not second.was_done
    assert (second.key, second.place) == (first.key, first.place)
    assert [i for i in range(6) if first.shards[i] != second.shards[i]] == [1, 4]
    assert sorted(journal(tmp_path)[6:]) == ["r10", "r40"]
    assert [row["value"] for row in second.rows()] == [2 * value for value in range(60)]
    assert second.manifest.counts == first.manifest.counts
    assert run_shard_stage(made, source, out, cluster).was_done


class MeetingWorker(DoublingWorker):
    """Goes on only once two processes are at work."""

    name = staticmethod(lambda: str(os.getpid()))

    def process(self, rows: list[Row]) -> list[Row]:
        log, deadline = Path(self.config.log), time.monotonic() + 120
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{self.name()}\n")
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


def test_an_actor_may_do_several_shards_at_once(tmp_path, source):
    """One process; each shard goes on only once two are at work."""
    meeting = replace(stage(tmp_path), worker=MeetingThreads, shards_at_once=8)
    done = run_shard_stage(meeting, source, Location(str(tmp_path / "out")), Cluster(RaySettings(max_workers=1)))
    assert [row["value"] for row in done.rows()] == [2 * value for value in range(60)]
    assert len({line.split("-")[0] for line in journal(tmp_path)}) == 1


class MeetingThreads(MeetingWorker):
    """Goes on only once two threads are at work."""

    name = staticmethod(lambda: f"{os.getpid()}-{threading.get_ident()}")


def test_a_bad_shard_is_named_and_a_rerun_does_only_that_one(tmp_path, source, cluster):
    out = Location(str(tmp_path / "out"))
    with pytest.raises(StageError, match=r"1 of 6 shards failed \(part-00002.*this shard is bad"):
        run_shard_stage(stage(tmp_path, bad=25), source, out, cluster)
    before = journal(tmp_path)
    done = run_shard_stage(stage(tmp_path), source, out, cluster)
    assert journal(tmp_path)[len(before) :] == ["r20"]
    assert [row["value"] for row in done.rows()] == [2 * value for value in range(60)]


def test_an_empty_shard_and_one_of_a_single_row_are_shards_too(tmp_path, cluster):
    place = Location(str(tmp_path / "in"))
    single = {"row_id": "r0", "value": 4, "error": None}
    names = tuple(write_shard(place, shard, rows, SCHEMA) for shard, rows in enumerate([[], [single], []]))
    manifest = Manifest(stage="in", key="k", config={}, shards=names, counts={"out": 1})
    source = StageOutput(place=place, manifest=manifest, was_done=False)
    done = run_shard_stage(stage(tmp_path), source, Location(str(tmp_path / "out")), cluster)
    assert [len(read_shard(done.place, name)) for name in done.shards] == [0, 1, 0]
    assert [row["value"] for row in done.rows()] == [8]
    assert done.manifest.counts == {"in": 1, "out": 1, "errors": 0}
    assert sorted(journal(tmp_path)) == ["empty", "empty", "r0"]


class FailingDevice(DoublingWorker):
    """Loses its device at the first shard of the first process, and cannot be built at first in the second."""

    def __init__(self, config: DoublingConfig) -> None:
        super().__init__(config)
        log = Path(f"{config.log}-built")
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        if len(log.read_text(encoding="utf-8").split()) == 2:
            raise torch.OutOfMemoryError("another process is still ending")

    def process(self, rows: list[Row]) -> list[Row]:
        if len(Path(f"{self.config.log}-built").read_text(encoding="utf-8").split()) == 1:
            raise torch.AcceleratorError("CUDA error: device-side assert triggered")
        return super().process(rows)


def test_a_worker_whose_device_is_lost_ends_and_one_that_cannot_load_yet_tries_again(tmp_path, source):
    failing = replace(stage(tmp_path), worker=FailingDevice)
    one_worker = Cluster(RaySettings(max_workers=1))
    done = run_shard_stage(failing, source, Location(str(tmp_path / "out")), one_worker)
    assert done.manifest.counts["out"] == 60
    first, second, third = (tmp_path / "journal-built").read_text().split()
    assert first != second == third


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_pool_of_one_outlives_two_shards_that_kill_their_process(tmp_path, source):
    deadly = replace(stage(tmp_path), worker=TwiceDeadly)
    with pytest.raises(StageError, match=r"2 of 6 shards failed \(part-00001.*part-00004"):
        run_shard_stage(deadly, source, Location(str(tmp_path / "out")), Cluster(RaySettings(max_workers=1)))


class TwiceDeadly(DoublingWorker):
    def process(self, rows: list[Row]) -> list[Row]:
        if {row["value"] for row in rows} & {15, 45}:
            os._exit(1)
        return super().process(rows)


class CountingWorker(DoublingWorker):
    def take_figures(self) -> dict[str, int]:
        return {"tokens_read": 30, "tokens_generated": 10, "padded_positions": 10}


def test_figures_of_the_workers_and_close_rows_are_in_the_manifest_and_not_in_the_shards(tmp_path, source, cluster):
    counting = replace(stage(tmp_path), worker=CountingWorker, margin_column="value")
    done = run_shard_stage(counting, source, Location(str(tmp_path / "out")), cluster)
    assert done.manifest.counts == {"in": 60, "out": 60, "errors": 30, "close": 1}  # row r0 has the value 0
    assert done.place.read_json("close_rows.jsonl") == {"row_id": "r0", "min_margin": 0}
    details = done.manifest.details
    assert details["figures_this_run"] == {"tokens_read": 180, "tokens_generated": 60, "padded_positions": 60}
    assert details["padding_share"] == 0.2
    assert 0 <= details["load_s"] <= details["seconds"]
    assert 0 < details["work_s"] <= 4 * details["seconds"]
    assert read_shard(done.place, done.shards[0])[0].keys() == set(SCHEMA.names)


class LoadingWorker(DoublingWorker):
    """Writes down which process it was built in."""

    def __init__(self, config: DoublingConfig) -> None:
        super().__init__(config)
        with Path(f"{config.log}-loaded").open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")


@pytest.mark.parametrize("gpus", [0.5, 1.0])
def test_each_actor_loads_once_on_its_share_of_a_gpu(tmp_path, source, cluster, gpus):
    loading = replace(stage(tmp_path), worker=LoadingWorker, gpus=gpus)
    done = run_shard_stage(loading, source, Location(str(tmp_path / "out")), cluster)
    assert done.manifest.counts["out"] == 60
    loaded = (tmp_path / "journal-loaded").read_text().split()
    assert len(loaded) == len(set(loaded))
    assert 1 <= len(loaded) <= 2
    assert len(journal(tmp_path)) == 6


@ray.remote(num_gpus=2, num_cpus=0)
class Another:
    """Another job's, on all GPUs."""

    def is_there(self) -> bool:
        return True


def test_a_pool_whose_gpus_others_use_says_so_and_ends(tmp_path, source, cluster, capsys):
    other = Another.remote()
    assert ray.get(other.is_there.remote())
    waiting = Cluster(RaySettings(wait_for_nodes_s=6))
    said = "doubled v: a worker needs 1 CPUs, 1 GPUs, and others use what the nodes have"
    with pytest.raises(StageError, match=rf"{said}; waited \d+ s \(--ray.wait-for-nodes-s\)"):
        run_shard_stage(replace(stage(tmp_path), gpus=1.0), source, Location(str(tmp_path / "out")), waiting)
    assert f"{said}; waiting since 0 s" in capsys.readouterr().out
    ray.kill(other)
    done = run_shard_stage(replace(stage(tmp_path), gpus=1.0), source, Location(str(tmp_path / "out")), cluster)
    assert done.manifest.counts["out"] == 60


@pytest.mark.slow
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


def many_shards(tmp_path: Path, n_shards: int, n_rows: int) -> StageOutput:
    place, step = Location(str(tmp_path / "many")), 2 * n_rows
    names = [
        write_shard(
            place,
            shard,
            [{"row_id": f"r{shard}-{i}", "value": step * shard + 2 * i + 1, "error": None} for i in range(n_rows)],
            SCHEMA,
        )
        for shard in range(n_shards)
    ]
    manifest = Manifest(stage="in", key="k", config={}, shards=tuple(names), counts={"out": n_shards * n_rows})
    write_manifest(place, manifest)
    return StageOutput(place=place, manifest=manifest, was_done=False)


@pytest.mark.parametrize("needs_model", [True, False])
def test_a_stage_whose_first_shards_are_bad_stops_with_the_cause_and_goes_on_with_a_larger_bound(
    tmp_path, cluster, needs_model
):
    """All values are odd, and so all rows fail."""
    source, out = many_shards(tmp_path, n_shards=30, n_rows=40), Location(str(tmp_path / "out"))
    odd = replace(stage(tmp_path, needs_model=needs_model), worker=SlowWorker)
    said = r"doubled v: stopped after \d+ of 30 shards: \d+ of \d+ rows failed \(100.0%; --max-failed .*: odd; .*kept"
    with pytest.raises(StageError, match=said):
        run_shard_stage(odd, source, out, cluster)
    time.sleep(1.5)
    stopped_after = len(journal(tmp_path))
    assert 2 <= stopped_after < 20
    time.sleep(1.5)
    assert len(journal(tmp_path)) == stopped_after  # nothing goes on behind the error
    done = run_shard_stage(replace(odd, bounds=Bounds(max_failed=1.0)), source, out, cluster)
    assert done.manifest.counts == {"in": 1200, "out": 1200, "errors": 1200}
    assert len(journal(tmp_path)) <= 30 + 4  # at most what was under way was done again
    with pytest.raises(StageError, match=r"doubled v: 1,200 of 1,200 rows failed .*: odd; .*kept"):
        run_shard_stage(odd, source, out, cluster)


class SlowWorker(DoublingWorker):
    def process(self, rows: list[Row]) -> list[Row]:
        time.sleep(0.3)
        return super().process(rows)


def test_a_stage_that_ends_with_too_many_bad_rows_is_not_finished(tmp_path, source, cluster):
    out, strict = Location(str(tmp_path / "out")), replace(stage(tmp_path), bounds=Bounds(max_failed=0.4))
    with pytest.raises(
        StageError, match=r"doubled v: 30 of 60 rows failed \(50.0%; --max-failed allows 40.0%\).*: odd; "
    ):
        run_shard_stage(strict, source, out, cluster)
    assert not list((tmp_path / "out").rglob("manifest.json"))
    worked = len(journal(tmp_path))
    done = run_shard_stage(stage(tmp_path), source, out, cluster)
    assert (len(journal(tmp_path)), done.manifest.counts["errors"]) == (worked, 30)
