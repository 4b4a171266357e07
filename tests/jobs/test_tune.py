"""Kill -9 of a tuning worker, and of all of a run that goes on with another number of workers."""

import json
from pathlib import Path
import random
import shutil
import subprocess
import sys

import psutil
import pytest
import safetensors.torch
import torch

from tests.jobs.processes import kill_family, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]
LIMIT_S = 300
SEED = 5
TUNING = {"steps": 40, "checkpoint-every": 4, "eval-every": 10, "lora.dropout": 0.1, "zero-stage": 2}
N_CHECKPOINTS = 10


def start(out: Path, log: Path, workers: int = 2, **changes: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "jobs/tune.py", "--recipe", "smoke", "--styles", "oe", "--out", str(out)]
    command += ["--ray.train-workers", str(workers)]
    for name, value in (TUNING | {key.replace("_", "-"): value for key, value in changes.items()}).items():
        command += [f"--tuning.{name}", str(value)]
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)


def finish(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.wait(timeout=LIMIT_S) == 0, log.read_text(errors="replace")[-3000:]


def checkpoints(out: Path) -> int:
    """Complete ones that are there; at most two are kept, so the newest counts."""
    steps = [int(path.parent.name.removeprefix("step-")) for path in out.glob("tuned/*/checkpoints/step-*/state.json")]
    return max(steps, default=0) // TUNING["checkpoint-every"]


def tuning_workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Ray names a process by what it does."""
    found = []
    for member in psutil.Process(process.pid).children(recursive=True):
        try:
            if any("RayTrainWorker" in part for part in member.cmdline()):
                found.append(member)
        except psutil.Error:
            continue
    return found


def adapter(out: Path) -> dict[str, torch.Tensor]:
    (path,) = out.glob("tuned/*/adapter/adapter_model.safetensors")
    return safetensors.torch.load_file(path)


def history(out: Path) -> list[dict[str, float]]:
    (path,) = out.glob("tuned/*/training.json")
    return json.loads(path.read_text())["history"]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("calm")
    finish(start(place / "out", place / "log"), place / "log")
    assert len(history(place / "out")) == 4
    return place / "out"


@pytest.fixture
def rough(calm: Path, tmp_path: Path) -> Path:
    """A run whose questions, answers and labels are there."""
    for stage in ("questions", "answers", "labelled"):
        shutil.copytree(calm / stage, tmp_path / "out" / stage)
    return tmp_path / "out"


def test_after_a_worker_is_killed_training_goes_on_by_itself(calm: Path, rough: Path, tmp_path: Path) -> None:
    log, draw = tmp_path / "log", random.Random(SEED)
    process = start(rough, log)
    wanted = draw.randint(1, N_CHECKPOINTS - 4)
    wait_for(lambda: checkpoints(rough) >= wanted, process, log, LIMIT_S)
    workers = tuning_workers(process)
    assert len(workers) == 2
    draw.choice(workers).kill()
    finish(process, log)
    assert "goes on from step" in log.read_text(errors="replace")
    for name, weight in adapter(rough).items():
        torch.testing.assert_close(weight, adapter(calm)[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("workers", "zero_stage"), [pytest.param(2, 3, marks=pytest.mark.long), (1, 0)])
def test_a_killed_run_goes_on_with_other_workers_or_another_stage(
    calm: Path, rough: Path, tmp_path: Path, workers: int, zero_stage: int
) -> None:
    log, draw = tmp_path / "log", random.Random(SEED + workers)
    process = start(rough, log)
    wanted = draw.randint(1, N_CHECKPOINTS - 4)
    wait_for(lambda: checkpoints(rough) >= wanted, process, log, LIMIT_S)
    kill_family(process)
    log.unlink()
    finish(start(rough, log, workers=workers, zero_stage=zero_stage), log)
    assert "goes on from step" in log.read_text(errors="replace")
    for one, other in zip(history(rough), history(calm), strict=True):
        for name in ("query_loss", "divergence", "val_nll"):
            assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6), name
    for name, weight in adapter(rough).items():
        torch.testing.assert_close(weight, adapter(calm)[name], rtol=1e-3, atol=5e-5)
