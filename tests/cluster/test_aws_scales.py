"""cluster/aws.yaml under Ray's own autoscaler, with nodes that are processes of this machine in place of Amazon's.

From a head alone the pipeline of two combos makes the cluster grow, loses a node while it answers and another while it
tunes, comes to the figures of an undisturbed run, and leaves the head alone again. Only the provider is exchanged, and
minutes of idling are seconds.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import json
from pathlib import Path
import subprocess
from threading import Event, Thread
import time
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pytest
import ray
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from tests.cluster.cluster_files import filled
from tests.jobs.commands import LIMIT_S, ROOT, TWO_COMBOS, predictions, run_job
from tests.jobs.processes import wait_for
from tests.jobs.ray_head import RAY, RayHead, free_port, ray_head

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.timeout(1500)]
HEAD_ID, HEAD_KIND = FAKE_HEAD_NODE_ID, "ray.head.default"
"""So this provider calls the head, whatever the file calls it."""
PROVIDER = {
    "type": "external",
    "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
    "launch_multiple": True,
    "disable_node_updaters": True,
    "head_node_id": HEAD_ID,
}
AUTOSCALER = {
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "RAY_FAKE_CLUSTER": "1",
    "RAY_enable_autoscaler_v2": "1",
    "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
    "RAY_NODE_TYPE_NAME": HEAD_KIND,
}
"""As `ray up` starts a head."""
IDLE_S, MARKET = 20, "ray.io/market-type"
ON_GPUS = ["--ray.gpus-per-worker", "1", "--device", "cpu", "--workers", "1:2", "--ray.train-workers", "1"]


@contextmanager
def aws_head(folder: Path) -> Iterator[RayHead]:
    """The head of aws.yaml, with its resources."""
    port, config = free_port(), filled("aws")
    provider = PROVIDER | {"gcs_address": f"{ray.util.get_node_ip_address()}:{port}"}
    kinds = {name: kind | {"idle_timeout_s": IDLE_S} for name, kind in config["available_node_types"].items()}
    kinds[HEAD_KIND] = config["available_node_types"]["head"]
    n_cpus = kinds.pop("head")["resources"]["CPU"]
    written = folder / "aws.json"
    changed = {"provider": provider, "available_node_types": kinds, "head_node_type": HEAD_KIND}
    written.write_text(json.dumps(config | changed))
    with ray_head(folder, n_cpus, AUTOSCALER, flags=[f"--autoscaling-config={written}"], port=port) as head:
        yield head


class Timeline:
    """What the cluster holds, asked every half second of its dashboard; printed where it changes."""

    def __init__(self, head: RayHead) -> None:
        self._head, self._left, self._began = head, Event(), time.monotonic()
        self.nodes, self.most = Counter[str](), Counter[str]()
        self._last = ""

    def __enter__(self) -> "Timeline":
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join(timeout=60)

    def _look(self) -> None:
        while not self._left.wait(0.5):
            nodes = [node for node in self._listed("nodes") if node["state"] == "ALIVE"]
            self.nodes = Counter(_kind(node["labels"]) for node in nodes)
            self.most |= self.nodes
            actors = Counter(each["class_name"] for each in self._listed("actors") if each["state"] == "ALIVE")
            line = f"nodes {_counted(self.nodes)}; actors {_counted(actors)}"
            if line != self._last:
                print(f"{time.monotonic() - self._began:6.1f} s  {line}")
            self._last = line

    def _listed(self, what: str) -> list[dict[str, Any]]:
        token = Path(self._head.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
        asked = Request(f"{self._head.dashboard}/api/v0/{what}?detail=1&limit=1000")
        asked.add_header("Authorization", f"Bearer {token}")
        with urlopen(asked, timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]["result"]
        return found


def _kind(labels: dict[str, str]) -> str:
    """What a node is by the labels that aws.yaml gives it; this provider gives the head none."""
    if MARKET not in labels:
        return "head"
    return f"{labels.get('ray.io/accelerator-type', 'CPU')} {labels[MARKET]}"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items())) or "none"


def node_with(head: RayHead, kind: str) -> psutil.Process | None:
    """The raylet of a node on which a worker of this kind is at work; the head has none."""
    for process in head.process.children(recursive=True):
        try:
            if "raylet" in process.name() and any(
                kind in part for child in process.children(recursive=True) for part in child.cmdline()
            ):
                return process
        except psutil.Error:
            continue
    return None


def kill_node(head: RayHead, kind: str) -> None:
    """Kill -9 of a node's raylet, and of all that it started."""
    raylet = node_with(head, kind)
    assert raylet is not None
    family = [raylet, *raylet.children(recursive=True)]
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    print(f"killed a node of {len(family)} processes, at work as {kind}")


def n_files(out: Path, pattern: str) -> int:
    return len(list(out.glob(pattern)))


def test_two_combos_grow_the_cluster_lose_two_nodes_and_leave_none(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    out, calm, log = tmp_path / "out", tmp_path / "calm", tmp_path / "log"
    # Without --working-dir: nodes of this provider share one copy of it, which each that starts takes away and unpacks.
    job = ["python", str(ROOT / "jobs" / "full_pipeline.py"), *TWO_COMBOS, *ON_GPUS, "--out", str(out)]
    with aws_head(tmp_path_factory.mktemp("r")) as head, Timeline(head) as timeline:
        submit = [str(RAY), "job", "submit", "--address", head.dashboard, "--", *job]
        with log.open("wb") as file:
            run = subprocess.Popen(submit, cwd=ROOT, env=head.environment, stdout=file, stderr=file)

        def wait(condition: Callable[[], object]) -> None:
            wait_for(condition, run, log, LIMIT_S)

        wait(lambda: n_files(out, "answers/*/part-*.parquet") >= 2 and node_with(head, "MapWorker"))
        kill_node(head, "MapWorker")
        wait(lambda: n_files(out, "tuned/*/checkpoints/step-*/state.json") >= 1 and node_with(head, "ImplicitFunc"))
        kill_node(head, "ImplicitFunc")
        assert run.wait(timeout=LIMIT_S) == 0, log.read_text(errors="replace")[-4000:]
        deadline = time.monotonic() + 120
        while timeline.nodes != Counter(head=1):
            assert time.monotonic() < deadline, timeline.nodes
            time.sleep(0.5)
    assert timeline.most["L40S spot"] >= 2
    assert set(timeline.most) <= {"head", "L40S spot", "CPU spot"}
    assert timeline.most["CPU spot"] <= 1, "figures take seconds"
    said = log.read_text(errors="replace")
    assert "models compute on the CPU (--device cpu): the 1 GPU(s) of each worker are taken and not used" in said

    run_job("full_pipeline", *TWO_COMBOS, "--out", str(calm))
    expected = predictions(calm)
    assert predictions(out) == pytest.approx(expected, abs=1e-6)
