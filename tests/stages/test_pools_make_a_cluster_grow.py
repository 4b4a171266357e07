"""A cluster with an autoscaler, from no GPU at all: Ray's own, with nodes that are processes of this machine."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
import json
import os
from pathlib import Path
import subprocess
import sys
import time

import pytest
import ray
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from raycalib.errors import ConfigError
from raycalib.stages.cluster import Cluster
from raycalib.stages.pools.room import grows_by_itself
from raycalib.stages.settings import RaySettings
from tests.jobs.processes import kill_family
from tests.jobs.ray_head import free_port
from tests.stages.ray_nodes import agree_on_a_token
from tests.stages.test_pools_follow_the_cluster import at_work, opened, run_while
from tests.stages.test_shard_stage import source

__all__ = ["source"]
pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(400), pytest.mark.filterwarnings("default")]
RAY = Path(sys.executable).with_name("ray")
HEAD_KIND, HEAD_ID = "ray.head.default", FAKE_HEAD_NODE_ID
PROVIDER = {
    "type": "external",
    "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
    "launch_multiple": True,
    "head_node_id": HEAD_ID,
}
LISTS = ("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands", "setup_commands")
COMMANDS = ("head_setup_commands", "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
NOT_USED = {name: [] for name in LISTS + COMMANDS} | {"auth": {}, "docker": {}, "file_mounts": {}}
AUTOSCALER = NOT_USED | {
    "cluster_name": "processes",
    "max_workers": 2,
    "idle_timeout_minutes": 5,
    "upscaling_speed": 1.0,
    "head_node_type": HEAD_KIND,
    "available_node_types": {
        HEAD_KIND: {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "gpu": {"resources": {"CPU": 1, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
    },
}
ENVIRONMENTS = {
    "Ray's older autoscaler": {},
    "what `ray up` and KubeRay start": {
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
        "RAY_NODE_TYPE_NAME": HEAD_KIND,
    },
}


@pytest.fixture
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Starts a head whose autoscaler, of the kind that is named, starts nodes when they are asked for: its address."""
    with ExitStack() as heads:
        yield lambda kind: heads.enter_context(growing_head(tmp_path_factory.mktemp("r"), ENVIRONMENTS[kind]))


@contextmanager
def growing_head(place: Path, variables: dict[str, str]) -> Iterator[str]:
    """The address of a head of one CPU, whose files lie in the place; it ends with all its nodes."""
    port = free_port()
    provider = PROVIDER | {"gcs_address": f"{ray.util.get_node_ip_address()}:{port}"}
    (place / "nodes.yaml").write_text(json.dumps(AUTOSCALER | {"provider": provider}))
    agree_on_a_token()
    command = [RAY, "start", "--head", "--block", f"--port={port}", "--num-cpus=1", f"--temp-dir={place}"]
    command += ["--disable-usage-stats", "--include-dashboard=false", f"--autoscaling-config={place}/nodes.yaml"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1", **variables}
    with (place / "head.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 100
        while not (place / "ray_current_cluster").is_file():
            assert time.monotonic() < deadline, (place / "head.log").read_text()
            time.sleep(0.5)
        yield (place / "ray_current_cluster").read_text().strip()
    finally:
        ray.shutdown()
        kill_family(process)


@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_a_pool_asks_for_the_first_gpu(
    tmp_path: Path, source, head: Callable[[str], str], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Nothing says how far it may grow: that its nodes come from an autoscaler is enough."""
    cluster = Cluster(RaySettings(address=head(kind), wait_for_nodes_s=200))
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


def test_trainers_ask_for_all_their_gpus_and_wait_with_a_bound(head: Callable[[str], str]) -> None:
    """With today's autoscaler alone: the older one knows a node by its address, which all nodes of this test share."""
    address = head("what `ray up` and KubeRay start")
    cluster = Cluster(RaySettings(address=address, gpus_per_worker=1, train_workers=2, wait_for_nodes_s=200))
    cluster.connect()
    assert cluster.trainers(16) == 2
    assert ray.cluster_resources()["GPU"] == 2
    more = Cluster(RaySettings(address=address, gpus_per_worker=1, train_workers=3, wait_for_nodes_s=3))
    with pytest.raises(ConfigError, match=r"3 workers need .*3 GPUs of 2; waited 3 s"):
        more.trainers(16)
