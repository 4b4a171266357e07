"""Jobs on a cluster that others started: as many trials at once as it holds, more while a node is there, none lost."""

from collections.abc import Iterator
import csv
from pathlib import Path
import subprocess
from threading import Event, Thread
import time

import psutil
import pytest

from tests.jobs.commands import LIMIT_S, ROOT, SMALL
from tests.jobs.processes import kill_family, wait_for
from tests.jobs.ray_head import RAY, RayHead, ray_head

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.timeout(1500)]
METHODS = ["--methods", "zero_shot_query,lora_prompt"]
SWEEP = [*SMALL, *METHODS, "--axis", "kl_decay=0,0.5,1", "--axis", "steps=200,300", "--combos", "llama2:7b/oe"]
N_TRIALS = 6


def processes_of_trials() -> list[psutil.Process]:
    """Of this machine; Ray names a process by its class, which Tune makes of the function, and its method."""
    found = []
    for process in psutil.process_iter():
        try:
            if any("ImplicitFunc.train" in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


class Watch:
    """Counts trials at work until it is left; ``most`` since it was set to 0 last."""

    def __enter__(self) -> "Watch":
        self.most, self._left = 0, Event()
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join(timeout=10)

    def _look(self) -> None:
        while not self._left.wait(0.05):
            self.most = max(self.most, len(processes_of_trials()))


@pytest.fixture
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    with ray_head(tmp_path_factory.mktemp("ray"), n_cpus=1) as head:
        yield head


def submitted(head: RayHead, log: Path, *command: str) -> subprocess.Popen[bytes]:
    submit = [str(RAY), "job", "submit", "--address", head.dashboard, "--working-dir", ".", "--", "python", *command]
    with log.open("wb") as file:
        return subprocess.Popen(submit, cwd=ROOT, env=head.environment, stdout=file, stderr=file)


def add_node(head: RayHead, n_cpus: int, log: Path) -> subprocess.Popen[bytes]:
    command = [str(RAY), "start", "--block", f"--address={head.address}", f"--num-cpus={n_cpus}"]
    with log.open("wb") as file:
        return subprocess.Popen([*command, "--disable-usage-stats"], env=head.environment, stdout=file, stderr=file)


def leaderboard(out: Path) -> list[dict[str, str]]:
    with (out / "sweep" / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name not in ("place", "seconds")} for row in rows]


def n_finished(out: Path) -> int:
    return len(list(out.glob("tuned/*/manifest.json")))


def test_a_submitted_sweep_grows_with_the_cluster_and_loses_nothing_with_a_node(head: RayHead, tmp_path: Path) -> None:
    out, calm, log = tmp_path / "out", tmp_path / "calm", tmp_path / "log"
    sweep = submitted(head, log, "jobs/sweep.py", *SWEEP, "--out", str(out))
    with Watch() as watch:
        wait_for(lambda: n_finished(out) >= 1, sweep, log, LIMIT_S)
        assert watch.most == 1
        node = add_node(head, 2, tmp_path / "node.log")
        try:
            wait_for(lambda: watch.most == 3, sweep, log, LIMIT_S)
        finally:
            kill_family(node)
        assert sweep.wait(timeout=LIMIT_S) == 0, log.read_text(errors="replace")[-4000:]
    deadline = time.monotonic() + 30
    while processes_of_trials():
        assert time.monotonic() < deadline, "processes of trials are left"
        time.sleep(0.5)
    undisturbed = submitted(head, tmp_path / "calm.log", "jobs/sweep.py", *SWEEP, "--out", str(calm))
    assert undisturbed.wait(timeout=LIMIT_S) == 0, (tmp_path / "calm.log").read_text(errors="replace")[-4000:]
    assert len(leaderboard(out)) == N_TRIALS
    for row, expected in zip(leaderboard(out), leaderboard(calm), strict=True):
        for name in ("nll", "nll_se", "ece", "auroc"):
            assert float(row.pop(name)) == pytest.approx(float(expected.pop(name)), abs=1e-6), name
        assert row == expected


def test_four_combos_on_four_slots_are_tuned_at_once(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    flags = [*SMALL, *METHODS, "--models", "llama2:7b", "mistral:7b", "--tuning.steps", "40"]
    with ray_head(tmp_path_factory.mktemp("ray"), n_cpus=4) as head, Watch() as watch:
        run = submitted(head, tmp_path / "log", "jobs/full_pipeline.py", *flags, "--out", str(tmp_path / "out"))
        assert run.wait(timeout=LIMIT_S) == 0, (tmp_path / "log").read_text(errors="replace")[-4000:]
    assert watch.most == 4
    assert "tuning 4 combo(s), 4 at once" in (tmp_path / "log").read_text()
    assert n_finished(tmp_path / "out") == 4
