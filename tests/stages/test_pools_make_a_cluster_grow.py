"""A cluster with an autoscaler, from no GPU at all: Ray's own, with nodes that are processes of this machine."""

from collections.abc import Iterator
import json
import os
from pathlib import Path
import subprocess
import sys
import time

import pytest
import ray

from raycalib.errors import ConfigError
from raycalib.stages.cluster import Cluster
from raycalib.stages.room import grows_by_itself
from raycalib.stages.settings import RaySettings
from tests.jobs.processes import kill_family
from tests.jobs.ray_head import free_port
from tests.stages.test_pools_follow_the_cluster import at_work, opened, run_while
from tests.stages.test_shard_stage import source

__all__ = ["source"]
pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(400), pytest.mark.filterwarnings("default")]
RAY = Path(sys.executable).with_name("ray")
AUTOSCALER = {
    "cluster_name": "fake",
    "provider": {"type": "fake_multinode"},
    "max_workers": 2,
    "idle_timeout_minutes": 5,
    "upscaling_speed": 1.0,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "gpu": {"resources": {"CPU": 1, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
    },
}


@pytest.fixture
def address(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a head that starts nodes when they are asked for."""
    place, port = tmp_path_factory.mktemp("r"), free_port()
    (place / "fake.yaml").write_text(json.dumps(AUTOSCALER))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # on loopback, for this test alone
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    command = [RAY, "start", "--head", "--block", f"--port={port}", "--num-cpus=1", f"--temp-dir={place}"]
    command += ["--disable-usage-stats", "--include-dashboard=false", f"--autoscaling-config={place}/fake.yaml"]
    environment = os.environ | {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
    with (place / "head.log").open("wb") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 100
        while not (place / "ray_current_cluster").is_file():
            assert time.monotonic() < deadline, (place / "head.log").read_text()
            time.sleep(0.5)
        yield (place / "ray_current_cluster").read_text().strip()
    finally:
        ray.shutdown()
        kill_family(head)


def test_a_pool_asks_for_the_first_gpu_and_for_more(
    tmp_path: Path, source, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing says how far it may grow: that its nodes come from an autoscaler is enough."""
    cluster = Cluster(RaySettings(address=address, wait_for_nodes_s=200))
    cluster.connect()
    deadline = time.monotonic() + 60
    while not grows_by_itself():  # the autoscaler has yet to report
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert "GPU" not in ray.cluster_resources()
    done = run_while(opened(tmp_path, gpus=1), source, cluster, lambda: at_work(tmp_path, 1))
    assert done.manifest.counts["out"] == 60
    assert ray.cluster_resources()["GPU"] >= 1
    said = capsys.readouterr().out
    assert "a worker needs 1 CPUs, 1 GPUs on one node, the cluster's nodes have 1 and 0: waiting until" in said
    assert Cluster(RaySettings(address=address, gpus_per_worker=1, train_workers=2)).trainers(16) == 2
    assert ray.cluster_resources()["GPU"] == 2
    more = Cluster(RaySettings(address=address, gpus_per_worker=1, train_workers=3, wait_for_nodes_s=3))
    with pytest.raises(ConfigError, match=r"3 workers need .*3 GPUs of 2; waited 3 s"):
        more.trainers(16)
