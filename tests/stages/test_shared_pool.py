"""Several sets in one pool, and several pools at once, on a local Ray of two CPUs."""

from collections.abc import Iterator
from dataclasses import replace
import os
from pathlib import Path
import time
from typing import Any
from urllib.request import urlopen

import pyarrow as pa
import pytest
import ray

from raycalib.records import Row
from raycalib.stages.chains.side_by_side import side_by_side, together
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageError, StageOutput
from raycalib.stages.pools import shard_work
from raycalib.stages.pools.bounds import Bounds
from raycalib.stages.pools.shard_stage import run_shard_stage, run_shard_stages
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.settings import RaySettings
from raycalib.storage import Location, Manifest, write_manifest, write_shard
from tests.judging.chat_server import ChatServer, Plan

# Ray itself warns of its own deprecations.
pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]

SCHEMA = pa.schema([pa.field("row_id", pa.string(), nullable=False), ("value", pa.int64()), ("error", pa.string())])
WAITS_S = 100


@pytest.fixture(scope="module", autouse=True)
def local_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    ray.init(address="local", num_cpus=2, _temp_dir=str(tmp_path_factory.mktemp("r")), log_to_driver=False)
    yield
    ray.shutdown()


def source(folder: Path, name: str, n_shards: int = 3, n_rows: int = 4) -> StageOutput:
    """Rows whose values are 0, 1, 2 …"""
    place = Location(str(folder / name))
    names = [
        write_shard(
            place,
            shard,
            [
                {"row_id": f"{name}{n_rows * shard + i}", "value": n_rows * shard + i, "error": None}
                for i in range(n_rows)
            ],
            SCHEMA,
        )
        for shard in range(n_shards)
    ]
    manifest = Manifest(stage="in", key=name, config={}, shards=tuple(names), counts={"out": n_shards * n_rows})
    write_manifest(place, manifest)
    return StageOutput(place=place, manifest=manifest, was_done=False)


def write_line(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split() if path.exists() else []


class AddingWorker:
    """Adds what its task says; writes down each loading and each shard. ``config`` is a directory."""

    def __init__(self, config: str) -> None:
        self.folder = Path(config)
        write_line(self.folder / "loaded", str(os.getpid()))

    def process(self, rows: list[Row]) -> list[Row]:
        return self.process_task("0", rows)

    def process_task(self, task: str, rows: list[Row]) -> list[Row]:
        write_line(self.folder / "done", f"{task}:{rows[0]['row_id']}")
        if any(row["row_id"] == "bad4" for row in rows) and not (self.folder / "mended").exists():
            raise RuntimeError("this shard is bad")
        return [row | {"value": row["value"] + int(task)} for row in rows]


def stage(folder: Path, part: str, task: str = "", worker: Any = AddingWorker, **more: Any) -> ShardStage:
    return ShardStage(
        name="added",
        variant="m",
        part=part,
        worker=worker,
        config=str(folder),
        task=task,
        identity={"task": task},
        schema=SCHEMA,
        needs_model=True,
        **more,
    )


def one_worker(**more: Any) -> Cluster:
    return Cluster(RaySettings(max_workers=1), **more)


def values(output: StageOutput) -> list[int]:
    return [row["value"] for row in output.rows()]


def test_several_sets_are_done_by_one_pool_that_loads_once_and_tasks_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = list[tuple[str, int]]()

    def noted(place: Location, manifest: Manifest) -> None:
        finished.append((manifest.inputs[0], len(lines_of(tmp_path / "done"))))
        write_manifest(place, manifest)

    monkeypatch.setattr(shard_work, "write_manifest", noted)
    sources = [source(tmp_path, name) for name in ("a", "b")]
    works = [(stage(tmp_path, "training oe", "10"), sources[0]), (stage(tmp_path, "test oe", "20"), sources[1])]
    out, cluster = Location(str(tmp_path / "out")), one_worker()
    first, second = run_shard_stages(works, out, cluster)
    assert (values(first), values(second)) == ([10 + n for n in range(12)], [20 + n for n in range(12)])
    assert len(lines_of(tmp_path / "loaded")) == 1
    assert [name for name, _ in finished] == ["a", "b"]
    assert finished[0][1] < 6, "the first manifest does not wait for the second set"
    assert sorted(os.listdir(tmp_path / "out" / "added"))[0].startswith("m-test-oe-")
    for output in (first, second):
        assert output.manifest.counts == {"in": 12, "out": 12, "errors": 0}
        assert output.manifest.details["rows_this_run"] == 12
    assert second.manifest.details["first_shard_s"] is None
    assert "  added m (training oe, test oe): 6/6 shards · 24 rows" in capsys.readouterr().out

    again = run_shard_stages([*works, (stage(tmp_path, "arc oe", "30"), source(tmp_path, "c"))], out, cluster)
    assert [output.was_done for output in again] == [True, True, False]
    assert len(lines_of(tmp_path / "done")) == 9, "a set that is added costs its own shards alone"
    assert "  added m arc oe: 3/3 shards" in capsys.readouterr().out
    assert all(output.was_done for output in run_shard_stages(works, out, cluster=None))  # type: ignore[arg-type]


def test_a_set_that_fails_leaves_the_others_to_be_finished(tmp_path: Path) -> None:
    out, cluster = Location(str(tmp_path / "out")), one_worker()
    works = [
        (stage(tmp_path, "bad oe"), source(tmp_path, "bad")),
        (stage(tmp_path, "test oe", "5"), source(tmp_path, "a")),
    ]
    with pytest.raises(StageError, match=r"added m bad oe: 1 of 3 shards failed \(part-00001.*this shard is bad"):
        run_shard_stages(works, out, cluster)
    assert [path.parent.name[:9] for path in (tmp_path / "out").rglob("manifest.json")] == ["m-test-oe"]
    (tmp_path / "mended").touch()
    before = len(lines_of(tmp_path / "done"))
    bad, good = run_shard_stages(works, out, cluster)
    assert (bad.was_done, good.was_done) == (False, True)
    assert lines_of(tmp_path / "done")[before:] == ["0:bad4"]


class OddWorker(AddingWorker):
    """Fails all rows of the set ``odd``."""

    def process(self, rows: list[Row]) -> list[Row]:
        write_line(self.folder / "done", str(rows[0]["row_id"]))
        time.sleep(0.1)
        return [row | {"error": "odd" if row["row_id"].startswith("odd") else None} for row in rows]


def test_a_set_most_of_whose_rows_are_bad_is_stopped_and_the_others_are_not(tmp_path: Path) -> None:
    works = [
        (stage(tmp_path, "odd", worker=OddWorker), source(tmp_path, "odd", n_shards=30, n_rows=40)),
        (stage(tmp_path, "good", worker=OddWorker), source(tmp_path, "good")),
    ]
    out = Location(str(tmp_path / "out"))
    with pytest.raises(StageError, match=r"added m odd: stopped after \d+ of 30 shards: .*100.0%; .*: odd; "):
        run_shard_stages(works, out, one_worker())
    done = lines_of(tmp_path / "done")
    assert len([line for line in done if line.startswith("odd")]) < 15
    assert len([line for line in done if line.startswith("good")]) == 3
    assert [path.parent.name[:6] for path in (tmp_path / "out").rglob("manifest.json")] == ["m-good"]
    loose = replace(works[0][0], bounds=Bounds(max_failed=1.0))
    assert run_shard_stages([(loose, works[0][1]), works[1]], out, one_worker())[0].manifest.counts["out"] == 1200


class OpenedWorker(AddingWorker):
    """Works on once there is a file ``open`` in its directory."""

    def process(self, rows: list[Row]) -> list[Row]:
        write_line(self.folder / "done", str(rows[0]["row_id"]))
        wait_for(self.folder / "open")
        return rows


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + WAITS_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} has not come"
        time.sleep(0.05)


def test_a_run_that_is_ended_in_the_middle_closes_its_pool_and_keeps_what_is_finished(tmp_path: Path) -> None:
    works = [
        (stage(tmp_path, "first", worker=OpenedWorker), source(tmp_path, "a", n_shards=1)),
        (stage(tmp_path, "second", worker=OpenedWorker), source(tmp_path, "b", n_shards=20)),
    ]
    out = Location(str(tmp_path / "out"))
    manifests = lambda: [path.parent.name[:7] for path in (tmp_path / "out").rglob("manifest.json")]  # noqa: E731

    def interrupts() -> None:
        (tmp_path / "open").touch()
        deadline = time.monotonic() + WAITS_S
        while not manifests():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (tmp_path / "open").unlink()  # the second set is in the middle
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        side_by_side({"a": lambda: run_shard_stages(works, out, one_worker()), "b": interrupts})
    assert time.monotonic() - began < WAITS_S
    assert manifests() == ["m-first"]
    at_work = len(lines_of(tmp_path / "done"))
    (tmp_path / "open").touch()
    time.sleep(1)
    assert len(lines_of(tmp_path / "done")) == at_work, "nothing goes on behind the error"
    first, second = run_shard_stages(works, out, one_worker())
    assert (first.was_done, second.was_done, len(values(second))) == (True, False, 80)


class TogetherWorker(AddingWorker):
    """Of a model: goes on once another model's pool is at work too; writes down how many models are."""

    def process(self, rows: list[Row]) -> list[Row]:
        model, shared = self.folder.name, self.folder.parent / "at-work"
        shared.mkdir(exist_ok=True)
        mine = shared / f"{model}-{os.getpid()}"
        mine.touch()
        models = {model}
        deadline = time.monotonic() + WAITS_S
        while len(models) < 2 and not (self.folder.parent / "met").exists():
            assert time.monotonic() < deadline, "no other model has come"
            time.sleep(0.02)
            models = {path.name.split("-")[0] for path in shared.iterdir()}
        (self.folder.parent / "met").touch()
        time.sleep(1)
        models |= {path.name.split("-")[0] for path in shared.iterdir()}
        write_line(self.folder.parent / "most", str(len(models)))
        mine.unlink()
        return rows


def test_three_chains_share_two_cpus_two_at_a_time(tmp_path: Path) -> None:
    """Four workers would find room: it is the shares that keep the third model waiting."""
    cluster, out = Cluster(RaySettings(cpus_per_worker=0.5), at_once=2), Location(str(tmp_path / "out"))

    def chain(name: str) -> StageOutput:
        folder = tmp_path / name
        folder.mkdir()
        given = source(folder, name, n_shards=2)
        made = replace(stage(folder, name, worker=TogetherWorker), variant=name)
        answers = run_shard_stage(made, given, out, cluster)
        by_string = replace(stage(folder, name), name="labelled", variant=name, needs_model=False)
        features = replace(stage(folder, name), name="features", variant=name)
        together(
            lambda: run_shard_stage(by_string, answers, out, cluster),
            lambda: run_shard_stage(features, answers, out, cluster),
        )
        return answers

    done, failed = side_by_side({name: (lambda name=name: chain(name)) for name in ("x", "y", "z")})
    assert failed == {}
    assert list(done) == ["x", "y", "z"]
    assert len(list((tmp_path / "out").rglob("manifest.json"))) == 9
    assert max(int(line) for line in lines_of(tmp_path / "most")) == 2


class AskingWorker(AddingWorker):
    """Asks a server for each row."""

    def process(self, rows: list[Row]) -> list[Row]:
        write_line(self.folder / "threads", os.environ.get("OMP_NUM_THREADS", "none"))
        write_line(self.folder / "cpus", str(ray.get_runtime_context().get_assigned_resources().get("CPU", 0)))
        port = (self.folder / "port").read_text()
        for _ in rows:
            with urlopen(f"http://127.0.0.1:{port}/seen", timeout=60) as response:
                response.read()
        return rows


def test_a_judge_is_asked_while_a_pool_holds_all_cpus(tmp_path: Path) -> None:
    cluster, out = Cluster(RaySettings()), Location(str(tmp_path / "out"))
    asking = stage(tmp_path, "judged", worker=AskingWorker, waits_for_server=True, shards_at_once=4)
    computing = stage(tmp_path, "computed", worker=OpenedWorker)
    with ChatServer(Plan()) as server:
        (tmp_path / "port").write_text(str(server.url.split(":")[2].split("/")[0]))

        def judge() -> StageOutput:
            deadline = time.monotonic() + WAITS_S
            while len(lines_of(tmp_path / "done")) < 2:  # both CPUs are held
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert ray.available_resources().get("CPU", 0) == 0
            asked = run_shard_stage(asking, source(tmp_path, "a", n_shards=4), out, cluster)
            (tmp_path / "open").touch()
            return asked

        asked, computed = together(
            judge, lambda: run_shard_stage(computing, source(tmp_path, "b", n_shards=8), out, cluster)
        )
    assert (len(values(asked)), len(values(computed))) == (16, 32)
    assert set(lines_of(tmp_path / "threads")) == {"1"}
    assert set(lines_of(tmp_path / "cpus")) == {"0"}
