"""What ``--status`` says of a sweep that others run."""

import json
from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import ConfigError
from raycalib.plans.gpu_prices import GpuPrice
from raycalib.stages.tuned.spent import SPENT
from raycalib.stages.tuned.trial_files import FAILURE, TRAINING
from raycalib.steps.sweep_status import say_status, write_trials
from raycalib.storage import Location, Manifest, write_manifest
from raycalib.tuning.settings import TuningSettings
from tests.stages.test_tune import job_of, row
from tests.sweeps.test_selection import cell

PRICE = GpuPrice(name="H100", dollars_per_hour=4.0, tflops=989, utilisation=0.35, gb_per_second=3350, memory_gib=79)
ROWS = [row("train"), row("val_select")]


def sweep(out: Path, price: GpuPrice | None, n_more: int = 0) -> list[Any]:
    """Of four trials: one finished, one at work, one failed, one that waits."""
    jobs = {
        cell(combo="llama2:7b/oe", steps=steps): job_of(out, ROWS, TuningSettings(steps=steps))
        for steps in (10, 20, 30, 40)
    }
    write_trials(Location(str(out / "out" / "sweep")), jobs, price, n_more)
    done, at_work, failed, _ = jobs.values()
    done.place.write_json(TRAINING, {"best_nll": 0.5})
    write_manifest(done.place, Manifest(stage="tuned", key=done.key, config={}))
    failed.place.write_json(FAILURE, {"error": "no\x1b[2J"})
    for job, seconds, gpus in ((done, 360.0, 2), (at_work, 36.0, 2), (failed, 36.0, 2)):
        job.place.write_json(SPENT, {"seconds": seconds, "gpus": gpus, "processors": 8})
    return list(jobs.values())


def test_each_trial_has_its_id_and_the_sweep_its_time_and_money(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [job.key[:8] for job in sweep(tmp_path, PRICE)]
    say_status(str(tmp_path / "out"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        f"  {keys[0]} llama2:7b/oe steps=10: finished, val NLL 0.5000",
        f"  {keys[1]} llama2:7b/oe steps=20: tuned so far to step 0/20",
        f"  {keys[2]} llama2:7b/oe steps=30: failed: no\\x1b[2J",
        f"  {keys[3]} llama2:7b/oe steps=40: waiting",
    ]
    # 36 s for a step of the finished one; 20 and 40 steps are left, on two GPUs
    assert lines[4:] == [
        "4 trials: 1 finished, 1 tuned so far, 1 waiting, 1 failed",
        "least val NLL so far: 0.5000, llama2:7b/oe steps=10",
        "taken so far: 0.24 GPU-hours, $0.96 at $4.00 an hour of an H100",
        "left: about 1.2 GPU-hours, $4.80; 36 min at 1 at once",
    ]


def test_on_processors_and_of_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path, None, n_more=2)
    say_status(str(tmp_path / "out"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].endswith("1 failed; the search asks for 2 more")
    assert lines[6] == "taken so far: 0.96 processor-hours"
    assert lines[7] == "left: about 8.8 processor-hours; 66 min at 1 at once"  # 60 and twice 25 steps of 36 s, on 8


def test_what_an_older_version_left_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path, None)
    path = tmp_path / "out" / "sweep" / "trials.json"
    path.write_text(json.dumps({"trials": json.loads(path.read_text())["trials"]}))
    say_status(str(tmp_path / "out"))
    assert "4 trials: 1 finished" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no sweep has begun"):
        say_status(str(tmp_path / "nowhere"))
