"""A sweep whose processes, node and driver are killed ten times, with its directory on an S3 server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import csv
import io
from pathlib import Path
import random
import shutil
import subprocess
import sys
import time

import fsspec
import psutil
import pytest

from tests.jobs.commands import LIMIT_S, ROOT, SMALL
from tests.jobs.processes import kill_family, processes_below
from tests.jobs.ray_head import RAY, RayHead, ray_head
from tests.jobs.s3_server import BUCKET, s3_server

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.timeout(3000), pytest.mark.filterwarnings("default")]
SEED = 16
SWEEP = [*SMALL, "--methods", "zero_shot_query,lora_prompt", "--combos", "llama2:7b/*", "--axis", "kl_decay=0,1"]
SWEEP += ["--axis", "steps=800", "--tuning.steps", "800", "--ray.train-workers", "2", "--tuning.checkpoint-every", "40"]
EVERY = 40
N_TRIALS = 4
TRIAL, CONTROLLER, WORKER, NODE, DRIVER = "ImplicitFunc", "TrainController", "RayTrainWorker", "node", "driver"
OF_PROCESSES = (TRIAL, CONTROLLER, WORKER)
KINDS = (*OF_PROCESSES, NODE, DRIVER) * 2
GONE_WITHIN_S = 180
MAY_DIFFER = {"place", "seconds"}
NUMBERS = ("nll", "nll_se", "ece", "auroc")


class Node:
    """A node of two CPUs beside the head, with a disk of its own."""

    def __init__(self, head: RayHead, folder: Path) -> None:
        self.head, self.folder, self._n = head, folder, 0
        self._start()

    def _start(self) -> None:
        self._n += 1
        self.disk = self.folder / f"n{self._n}"
        command = [str(RAY), "start", "--block", f"--address={self.head.address}", "--num-cpus=2"]
        command += [f"--temp-dir={self.disk}", "--disable-usage-stats"]
        with (self.folder / f"n{self._n}.log").open("wb") as log:
            self.process = subprocess.Popen(command, env=self.head.environment, stdout=log, stderr=log)

    def lose(self) -> None:
        """Kills all of it, removes its disk, and lets another one join."""
        kill_family(self.process)
        shutil.rmtree(self.disk, ignore_errors=True)
        self._start()


class Sweep:
    """The command, begun again whenever it was killed."""

    def __init__(self, head: RayHead, log: Path, out: str) -> None:
        self.head, self.log, self.out = head, log, out
        self.start()

    def start(self) -> None:
        command = [sys.executable, "jobs/sweep.py", *SWEEP, "--out", self.out]
        environment = self.head.environment | {"RAY_ADDRESS": self.head.address}
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)

    def end(self) -> str:
        """What it said, once it has ended by itself and well."""
        assert self.process.wait(timeout=LIMIT_S * 2) == 0, self.said()[-4000:]
        return self.said()

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def processes(head: RayHead, node: Node, kind: str) -> list[psutil.Process]:
    """Of the cluster."""
    return processes_below(head.process, kind) + processes_below(psutil.Process(node.process.pid), kind)


def n_checkpoints(files: fsspec.AbstractFileSystem, out: str) -> int:
    """How many checkpoints the trials have come past, also those that newer ones have replaced."""
    newest = dict[str, int]()
    for path in files.glob(f"{out.removeprefix('s3://')}/tuned/*/checkpoints/step-*/state.json"):
        trial, step = path.split("/")[-4], int(path.split("/")[-2].removeprefix("step-"))
        newest[trial] = max(newest.get(trial, 0), step)
    return sum(newest.values()) // EVERY


def leaderboard(files: fsspec.AbstractFileSystem, out: str) -> list[dict[str, str]]:
    text = files.cat_file(f"{out.removeprefix('s3://')}/sweep/leaderboard.csv").decode()
    rows = csv.DictReader(io.StringIO(text))
    return [{name: value for name, value in row.items() if name not in MAY_DIFFER} for row in rows]


@contextmanager
def cluster(folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[RayHead, Node]]:
    with ray_head(folder / "h", n_cpus=2, more=environment) as head:
        node = Node(head, folder)
        try:
            yield head, node
        finally:
            kill_family(node.process)


def kill(kind: str, draw: random.Random, sweep: Sweep, head: RayHead, node: Node) -> bool:
    """Whether there was one to kill."""
    if kind == DRIVER:
        kill_family(sweep.process)
        sweep.start()
    elif kind == NODE:
        node.lose()
    else:
        alive = processes(head, node, kind)
        if not alive:
            return False
        draw.choice(alive).kill()
    return True


def test_ten_kills_change_nothing_and_leave_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, draw = tmp_path_factory.mktemp("k"), random.Random(SEED)
    (folder / "h").mkdir()
    order = draw.sample(KINDS, len(KINDS))
    with s3_server(folder / "s3.log") as server, cluster(folder, server.environment) as (head, node):
        files = server.files()
        sweep = Sweep(head, folder / "log", f"s3://{BUCKET}/out")
        killed, wanted = list[str](), 1
        deadline = time.monotonic() + LIMIT_S * 4
        while len(killed) < len(order):
            assert sweep.process.poll() is None, f"ended after {killed}:\n{sweep.said()[-4000:]}"
            assert time.monotonic() < deadline, f"the moment did not come after {killed}:\n{sweep.said()[-4000:]}"
            if n_checkpoints(files, sweep.out) >= wanted and kill(order[len(killed)], draw, sweep, head, node):
                killed.append(order[len(killed)])
                print(f"{len(killed)}: {killed[-1]} at {n_checkpoints(files, sweep.out)} checkpoints")
                wanted = n_checkpoints(files, sweep.out) + draw.randint(1, 3)
            time.sleep(0.2)
        said = sweep.end()
        assert "Last result" not in said, "a line of Tune's own"
        assert "nothing is left on the cluster: 0 actors, 0 placement groups" in said.splitlines()[-1], said[-2000:]
        deadline = time.monotonic() + GONE_WITHIN_S
        while left := [each for kind in OF_PROCESSES for each in processes(head, node, kind)]:
            assert time.monotonic() < deadline, f"left: {left}"
            time.sleep(0.5)
        calm = Sweep(head, folder / "calm.log", f"s3://{BUCKET}/calm")
        calm.end()
        found, expected = leaderboard(files, sweep.out), leaderboard(files, calm.out)
    assert len(found) == len(expected) == N_TRIALS
    for row, other in zip(found, expected, strict=True):
        assert row["state"] == "finished"
        for name in NUMBERS:
            assert float(row.pop(name)) == pytest.approx(float(other.pop(name)), abs=1e-6), name
        assert row == other
