"""Pools on a cluster whose nodes come and go while a stage works."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
import os
from pathlib import Path
import time

import pytest
from ray.cluster_utils import Cluster as Nodes

from raycalib.errors import ConfigError
from raycalib.records import Row
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageError, StageOutput
from raycalib.stages.pools.shard_stage import run_shard_stage
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.settings import RaySettings
from raycalib.storage import Location
from tests.stages.ray_nodes import joined_nodes
from tests.stages.test_shard_stage import DoublingWorker, journal, source, stage

__all__ = ["source"]
pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """One node that holds one worker."""
    with joined_nodes(tmp_path_factory.mktemp("r"), num_cpus=1) as nodes:
        yield nodes


class OpenedWorker(DoublingWorker):
    """Writes down its process, and works on once there is a file ``open`` beside the journal."""

    def process(self, rows: list[Row]) -> list[Row]:
        with Path(self.config.log).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        deadline = time.monotonic() + 200
        while not Path(self.config.log).with_name("open").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        return [row | {"value": 2 * row["value"]} for row in rows]


def opened(tmp_path: Path, gpus: float | None = None) -> ShardStage:
    return replace(stage(tmp_path), worker=OpenedWorker, gpus=gpus)


def at_work(tmp_path: Path, n: int) -> None:
    """Waits until so many processes are at work."""
    deadline = time.monotonic() + 100
    while len(set(journal(tmp_path))) < n:
        assert time.monotonic() < deadline, f"{journal(tmp_path)} of {n} processes are at work"
        time.sleep(0.1)


def run_while(stage: ShardStage, source: StageOutput, cluster: Cluster, happens: Callable[[], object]) -> StageOutput:
    """The output of a stage that runs while something happens to the cluster, which only the main thread may do."""
    place = Path(stage.config.log).parent
    with ThreadPoolExecutor(max_workers=1) as threads:
        output = threads.submit(run_shard_stage, stage, source, Location(str(place / "out")), cluster)
        try:
            happens()
        finally:
            (place / "open").touch()
        return output.result(timeout=200)


@pytest.mark.parametrize("settings", [RaySettings(), RaySettings(max_workers=2)], ids=["by itself", "as told"])
def test_a_pool_grows_when_a_node_joins_and_outlives_one_that_goes(
    tmp_path: Path, source, nodes: Nodes, settings: RaySettings
) -> None:
    """No shard is finished before the second node's worker is at work on one; then that node goes."""

    def happens() -> None:
        at_work(tmp_path, 1)
        second = nodes.add_node(num_cpus=1)
        at_work(tmp_path, 2)
        nodes.remove_node(second, allow_graceful=False)

    done = run_while(opened(tmp_path), source, Cluster(settings), happens)
    assert [row["value"] for row in done.rows()] == [2 * value for value in range(60)]
    assert done.manifest.counts["out"] == 60


def test_a_pool_that_finds_no_gpu_waits_for_one_and_grows_with_the_next(
    tmp_path: Path, source, nodes: Nodes, capsys: pytest.CaptureFixture[str]
) -> None:
    def happens() -> None:
        time.sleep(2)
        nodes.add_node(num_cpus=1, num_gpus=1)
        at_work(tmp_path, 1)
        nodes.add_node(num_cpus=1, num_gpus=1)
        at_work(tmp_path, 2)

    done = run_while(opened(tmp_path, gpus=1), source, Cluster(RaySettings(max_workers=4)), happens)
    assert done.manifest.counts["out"] == 60
    needs = "a worker needs 1 CPUs, 1 GPUs on one node, the cluster's nodes have 1 and 0"
    assert f"{needs}: waiting until the cluster grows, at most 900 s" in capsys.readouterr().out


def test_what_never_comes_is_waited_for_with_a_bound(tmp_path: Path, source, nodes: Nodes) -> None:
    """A fixed cluster is told at once, one that may grow after a while, and so is one whose GPUs have all gone."""
    out = Location(str(tmp_path / "out"))
    needs = r"a worker needs 1 CPUs, 1 GPUs on one node, the cluster's nodes have 1 and 0"
    with pytest.raises(ConfigError, match=rf"{needs}: lower --ray.gpus-per-worker or"):
        run_shard_stage(opened(tmp_path, gpus=1), source, out, Cluster(RaySettings()))
    patient = Cluster(RaySettings(max_workers=2, wait_for_nodes_s=3))
    with pytest.raises(ConfigError, match=rf"{needs}; waited 3 s .*once the cluster has grown"):
        run_shard_stage(opened(tmp_path, gpus=1), source, out, patient)

    second = nodes.add_node(num_cpus=1, num_gpus=1)

    def happens() -> None:
        at_work(tmp_path, 1)
        nodes.remove_node(second, allow_graceful=False)

    with pytest.raises(StageError, match=rf"{needs}; waited \d+ s"):
        run_while(opened(tmp_path, gpus=1), source, patient, happens)
