"""A node that does not see the run's directory is named before anything is done."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import re
import shlex
import shutil
import signal
import subprocess
import time

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster as Nodes

from raycalib.errors import ConfigError
from raycalib.stages.cluster import Cluster
from raycalib.stages.seen_by_nodes import check_seen
from raycalib.stages.settings import RaySettings
from raycalib.storage import Location
from tests.jobs.processes import kill_family
from tests.jobs.ray_head import RAY
from tests.stages.ray_nodes import joined_nodes

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]
COMES_WITHIN_S = 90


def may_mount(mount: str) -> bool:
    """Whether this process may make a view of the disk of its own, as in a container it may not."""
    tried = ["unshare", "--mount", "sh", "-c", mount]
    return bool(shutil.which("unshare")) and not subprocess.run(tried, capture_output=True, check=False).returncode


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with joined_nodes(tmp_path_factory.mktemp("r"), num_cpus=1) as nodes:
        yield nodes


def alive() -> dict[str, str]:
    return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


@contextmanager
def node_with(nodes: Nodes, mount: str, log: Path) -> Iterator[None]:
    """A node to which a folder is something else than to this process, once it has joined."""
    before, start = len(alive()), [str(RAY), "start", "--block", f"--address={nodes.address}", "--num-cpus=1"]
    command = ["unshare", "--mount", "sh", "-c", f"{mount} && exec {shlex.join(start)}"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        deadline = time.monotonic() + COMES_WITHIN_S
        while len(alive()) == before:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield
    finally:
        kill_family(process)


def left(out: Path) -> list[str]:
    """Files and folders of a run beside its logs."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if "logs" not in path.relative_to(out).parts)


def test_nodes_that_see_it_leave_nothing_and_each_is_asked_once(
    tmp_path: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = list[set[str]]()

    def check(out: Location, given: dict[str, str]) -> None:
        asked.append(set(given))
        check_seen(out, given)

    monkeypatch.setattr("raycalib.stages.cluster.check_seen", check)
    cluster = Cluster(RaySettings(), Location(str(tmp_path)))
    try:
        cluster.connect()
        assert asked == [], "one node has all there is"
        first = set(alive())
        nodes.add_node(num_cpus=1)
        cluster.connect()
        second = set(alive()) - first
        nodes.add_node(num_cpus=1)
        cluster.connect()
        cluster.connect()
        assert asked == [second, set(alive()) - first - second]
    finally:
        cluster.close()
    assert left(tmp_path) == []
    assert "does not answer" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mount", "cause"),
    [
        ("mount -t tmpfs none {shared}", "what is written here cannot be read (cannot read "),
        ("mount --bind {shared} {shared} && mount -o remount,bind,ro {shared}", "nothing can be written (cannot write"),
        ("mount -t overlay none -o lowerdir={shared},upperdir={up}/a,workdir={up}/b {shared}", ""),
    ],
    ids=["of its own", "read-only", "written elsewhere"],
)
def test_a_node_to_which_the_directory_is_another_is_named_with_what_to_do(
    tmp_path: Path, nodes: Nodes, mount: str, cause: str
) -> None:
    shared, up = tmp_path / "shared", tmp_path / "up"
    for folder in (shared / "out", up / "a", up / "b"):
        folder.mkdir(parents=True)
    mount = mount.format(shared=shared, up=up)
    if not may_mount(mount):
        pytest.skip(f"this process may not: {mount.split(' /')[0]}")
    cluster = Cluster(RaySettings(), Location(str(shared / "out")))
    try:
        with node_with(nodes, mount, tmp_path / "log"), pytest.raises(ConfigError) as raised:
            cluster.connect()
    finally:
        cluster.close()
    address = re.escape(next(iter(alive().values())))
    expected = (
        rf"out: {shared}/out is not one directory for all nodes of the cluster: .+ on {address}; name by --out a mount "
        r"that all nodes have at the same path, or an object store \(s3://…\)"
    )
    assert re.fullmatch(expected, str(raised.value)), raised.value
    assert (cause or "what is ") in str(raised.value)
    assert left(shared / "out") == []


def test_a_node_that_does_not_answer_is_said_and_not_waited_for(
    tmp_path: Path, nodes: Nodes, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = set(alive())
    second = nodes.add_node(num_cpus=1)
    silent = psutil.Process(second.all_processes["raylet"][0].process.pid)
    both = alive()
    (address,) = (address for node, address in both.items() if node not in mine)
    os.kill(silent.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        check_seen(Location(str(tmp_path)), both, within_s=5)
        assert time.monotonic() - began < 25
    finally:
        os.kill(silent.pid, signal.SIGCONT)
    assert f"  node {address} does not answer whether it sees {tmp_path}: it may not\n" in capsys.readouterr().out
    assert left(tmp_path) == []
