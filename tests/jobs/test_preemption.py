"""A cluster of two nodes whose second is announced to go, goes, and is replaced while a run tunes on it."""

from collections.abc import Iterator
import os
from pathlib import Path
import re
import socket
import subprocess
import sys
import time

import pytest

from tests.jobs.processes import kill_family, wait_for

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).parent / "ray"
LIMIT_S = 300
STEPS = 200
ENVIRONMENT = os.environ | {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789" * 4,
    "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "1",
}
WORKING_NODE = """
import sys
import time
import ray
ray.init(address=sys.argv[1], log_to_driver=False)
while not (working := [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]):
    time.sleep(0.2)
print(working[0]["NodeID"])
"""


class RayCluster:
    """Nodes on this machine, each a process of its own: a head without CPUs, and others."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.started: list[subprocess.Popen[bytes]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        port, folder = self.address.rpartition(":")[2], str(place / "ray")
        self.start("--head", "--port", port, "--num-cpus", "0", "--include-dashboard", "false", "--temp-dir", folder)
        deadline = time.monotonic() + 60
        while not self.answers(int(port)):  # a node gives up soon where no head does
            assert time.monotonic() < deadline, (place / "nodes.log").read_text(errors="replace")[-3000:]
            time.sleep(0.2)

    @staticmethod
    def answers(port: int) -> bool:
        """Whether anything listens there."""
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", port)) == 0

    def start(self, *flags: str) -> subprocess.Popen[bytes]:
        """Starts a node; others wait for it by themselves."""
        command = [str(RAY), "start", "--block", "--node-ip-address", "127.0.0.1", "--disable-usage-stats", *flags]
        with (self.place / "nodes.log").open("ab") as log:
            process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def add_node(self) -> subprocess.Popen[bytes]:
        """Starts a node that works."""
        return self.start("--address", self.address, "--num-cpus", "2")

    def working_node(self) -> str:
        """Id of the node that works, once it is there."""
        command = [sys.executable, "-c", WORKING_NODE, self.address]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.split()[-1]

    def announce_end(self) -> None:
        """Tells Ray, as a cloud does, that the node that works will be gone in five minutes."""
        command = [str(RAY), "drain-node", "--address", self.address, "--node-id", self.working_node()]
        command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot capacity is needed elsewhere"]
        command += ["--deadline-remaining-seconds", "300"]
        subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    cluster = RayCluster(tmp_path_factory.mktemp("ray"))
    try:
        yield cluster
    finally:
        for process in reversed(cluster.started):
            if process.poll() is None:
                kill_family(process)


def tune(cluster: RayCluster, place: Path) -> subprocess.Popen[bytes]:
    """Starts a run that writes no checkpoint of its own accord before it ends."""
    command = [sys.executable, "jobs/tune.py", "--recipe", "smoke", "--styles", "oe", "--out", str(place / "out")]
    command += ["--ray.address", cluster.address, "--ray.train-workers", "2", "--tuning.checkpoint-every", "1000"]
    command += ["--tuning.steps", str(STEPS), "--tuning.eval-every", "8"]
    with (place / "log").open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=ENVIRONMENT)


def steps_done(out: Path) -> int:
    """The newest step that the workers told of."""
    told = "".join(path.read_text(errors="replace") for path in out.glob("logs/*-workers.log"))
    return max(map(int, re.findall(rf"step (\d+)/{STEPS} ", told)), default=0)


def test_a_run_writes_a_checkpoint_when_its_node_is_announced_to_go_and_goes_on_from_it(
    cluster: RayCluster, tmp_path: Path
) -> None:
    log = tmp_path / "log"

    def said(pattern: str) -> re.Match[str] | None:
        return re.search(pattern, log.read_text(errors="replace"))

    node = cluster.add_node()
    cluster.working_node()
    process = tune(cluster, tmp_path)
    try:
        wait_for(lambda: steps_done(tmp_path / "out") >= 16, process, log, LIMIT_S)
        cluster.announce_end()
        wait_for(lambda: said(r"is about to be taken away: checkpoint written at step \d+"), process, log, LIMIT_S)
        kill_family(node)
        cluster.add_node()
        assert process.wait(timeout=LIMIT_S) == 0, log.read_text(errors="replace")[-3000:]
    finally:
        if process.poll() is None:
            kill_family(process)
    written, resumed = said(r"checkpoint written at step (\d+)"), said(r"goes on from step (\d+)")
    assert written
    assert resumed
    assert 16 < int(written[1]) < STEPS
    assert resumed[1] == written[1]
    assert len(list((tmp_path / "out").glob("tuned/*/adapter/adapter_model.safetensors"))) == 1
