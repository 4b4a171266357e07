"""Kill -9 in generate, tune and evaluate: the same command finishes with the same shards and figures."""

from collections.abc import Callable
import json
import math
import os
from pathlib import Path
import random
import subprocess
import sys
import time
from typing import Any

import pytest

from raycalib.storage import Location, find_shards
from tests.jobs.processes import kill_family

ROOT = Path(__file__).parents[2]
LIMIT_S = 300
SEED = 11


def start(out: Path, log: Path) -> subprocess.Popen[bytes]:
    """The runs in the two directories differ in what must not matter: the workers and the seed of Python's hashes."""
    calm = out.name == "calm"
    command = [sys.executable, "jobs/full_pipeline.py", "--recipe", "smoke", "--out", str(out)]
    command += ["--ray.max-workers", "2" if calm else "1"]
    environment = os.environ | {"PYTHONHASHSEED": "1" if calm else "2"}
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, env=environment)


def finish(out: Path, log: Path) -> float:
    """Runs the command to its end; returns the seconds."""
    began = time.monotonic()
    process = start(out, log)
    assert process.wait(timeout=LIMIT_S) == 0, log.read_text(errors="replace")[-3000:]
    return time.monotonic() - began


def kill_when(condition: Callable[[], bool], out: Path, log: Path) -> None:
    """Starts the command and kills it with everything that it started once the condition holds."""
    process = start(out, log)
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert process.poll() is None, f"ended before the moment came:\n{log.read_text(errors='replace')[-3000:]}"
        assert time.monotonic() < deadline, "the moment did not come"
        time.sleep(0.02)
    kill_family(process)


def shards(out: Path, stage: str) -> list[str]:
    """Files of the stage's finished shards."""
    folder = out / stage
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    return [name for place in places for name in find_shards(Location(str(place))).values()]


def contents(out: Path, stage: str) -> dict[str, bytes]:
    """All shards of a stage by directory and number, byte for byte; the rest of their names is the attempt's."""
    places = sorted((out / stage).iterdir())
    return {
        f"{place.name}/{number}": (place / name).read_bytes()
        for place in places
        for number, name in find_shards(Location(str(place))).items()
    }


def is_whole(out: Path, stage: str) -> bool:
    """Whether the stage has a manifest for every set and style: three sets, two styles."""
    return len(list((out / stage).glob("*/manifest.json"))) == 6


def checkpoints(out: Path) -> int:
    return len(list((out / "tuned").glob("*/checkpoints/step-*/state.json"))) if (out / "tuned").is_dir() else 0


def assert_equal_summaries(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> None:
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if isinstance(value, dict):
                for part, figure in value.items():
                    same = figure == other[name][part] or math.isclose(figure, other[name][part], abs_tol=1e-6)
                    assert same, (one["method"], one["split"], name, part, figure, other[name][part])
            else:
                assert value == other[name], (name, value, other[name])


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1800)
def test_killed_in_every_stage_the_same_command_finishes_with_the_same_figures(tmp_path):
    calm, rough, log = tmp_path / "calm", tmp_path / "rough", tmp_path / "log"
    finish(calm, log)
    draw = random.Random(SEED)

    wanted = draw.randint(2, 12)
    kill_when(lambda: len(shards(rough, "answers")) >= wanted, rough, log)
    answered = shards(rough, "answers")
    assert not is_whole(rough, "answers")

    wanted_checkpoints = draw.randint(1, 2)
    kill_when(lambda: checkpoints(rough) >= wanted_checkpoints, rough, log)
    assert set(answered) <= set(shards(rough, "answers")), "finished shards were made again"

    wanted_scored = draw.randint(1, 4)
    kill_when(lambda: len(shards(rough, "scored")) >= wanted_scored, rough, log)
    scored = shards(rough, "scored")
    tuned = {path: path.stat().st_mtime_ns for path in (rough / "tuned").glob("*/adapter/*")}
    assert tuned
    assert not is_whole(rough, "scored")

    finish(rough, log)
    assert set(scored) <= set(shards(rough, "scored")), "finished shards were made again"
    assert tuned == {path: path.stat().st_mtime_ns for path in (rough / "tuned").glob("*/adapter/*")}
    read = [json.loads((out / "report" / "summary.json").read_text()) for out in (calm, rough)]
    assert_equal_summaries(*read)

    assert is_whole(calm, "answers")
    for stage in ("questions", "answers", "labelled", "features"):
        assert len(contents(calm, stage)) > 1
        assert contents(calm, stage) == contents(rough, stage), stage

    before = {path: path.stat().st_mtime_ns for path in rough.rglob("*.parquet")}
    finish(rough, log)
    assert "Nothing to do" in log.read_text(errors="replace").splitlines()[-2]
    assert before == {path: path.stat().st_mtime_ns for path in rough.rglob("*.parquet")}
