"""A trial that is stopped from a second terminal, and rungs, by the commands that a user types."""

import csv
from pathlib import Path
import subprocess
import sys

import pytest

from tests.jobs.commands import LIMIT_S, ROOT, SMALL, run_job
from tests.jobs.processes import kill_family, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1500)]
SWEEP = [*SMALL, "--methods", "zero_shot_query,lora_prompt", "--combos", "llama2:7b/oe"]


def leaderboard(out: Path) -> dict[str, dict[str, str]]:
    """By the learning rate."""
    with (out / "sweep" / "leaderboard.csv").open(newline="") as file:
        return {row["lr"]: row for row in csv.DictReader(file)}


@pytest.mark.long
def test_a_trial_is_stopped_from_a_second_terminal_stays_so_and_goes_on(tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    command = [*SWEEP, "--axis", "lr=0.001,0.002", "--axis", "steps=400", "--out", str(out)]
    with log.open("wb") as file:
        sweep = subprocess.Popen(
            [sys.executable, "jobs/sweep.py", *command], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: len(list(out.glob("tuned/*/checkpoints/step-*/state.json"))) >= 1, sweep, log, LIMIT_S)
        begun = next(out.glob("tuned/*/checkpoints/step-*/state.json")).parents[2]
        name = begun.name.rpartition("-")[2][:8]
        assert f"{name} llama2:7b/oe" in run_job("sweep", "--status", "--out", str(out))
        assert "stops within seconds" in run_job("sweep", "--stop-trial", name, "--out", str(out))
        assert sweep.wait(timeout=LIMIT_S) == 0, log.read_text(errors="replace")[-4000:]
    finally:
        if sweep.poll() is None:
            kill_family(sweep)
    said = log.read_text()
    assert "sweep: 2 trials, 1 stopped; leaderboard" in said
    (stopped,) = [row for row in leaderboard(out).values() if row["state"] == "stopped"]
    assert stopped["key"].startswith(name)
    assert stopped["reason"].startswith("stopped: by --stop-trial, at step ")
    assert (stopped["chosen"], stopped["nll"]) == ("false", "")
    assert "1 stopped" in run_job("sweep", *command), "it stays stopped"
    steps = [int(path.parent.name.removeprefix("step-")) for path in begun.glob("checkpoints/step-*/state.json")]
    assert max(steps) < 400
    said = run_job("sweep", *command, "--restart-stopped")
    assert f"goes on from step {max(steps)}" in said
    assert {row["state"] for row in leaderboard(out).values()} == {"finished"}


@pytest.mark.slow
def test_trials_that_fall_behind_are_stopped_and_said(tmp_path: Path) -> None:
    out = tmp_path / "out"
    axes = ["--axis", "lr=1e-9,0.05", "--axis", "steps=60", "--workers", "1"]
    axes += ["--tuning.steps", "60", "--tuning.eval-every", "20"]  # an axis scales what is given for these steps
    said = run_job("sweep", *SWEEP, *axes, "--reduction-factor", "2", "--out", str(out))
    assert "sweep: 2 trials, 1 stopped" in said
    rows = leaderboard(out)
    assert (rows["1e-09"]["state"], rows["1e-09"]["chosen"]) == ("finished", "true")
    assert (rows["0.05"]["state"], rows["0.05"]["chosen"]) == ("stopped", "false")
    assert "is above" in rows["0.05"]["reason"]
    assert "the bound of the best of every 2 among 1 trials" in rows["0.05"]["reason"]
