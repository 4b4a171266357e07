"""Generation killed at random moments: the same command goes on, and rows and answers are those of a calm run."""

from collections.abc import Callable, Iterator
import json
from pathlib import Path
import random
import subprocess
import sys
import time

import psutil
import pytest

from raycalib.storage import Location, find_shards
from tests.jobs.ray_head import RayHead, ray_head

ROOT = Path(__file__).parents[2]
LIMIT_S = 120
N_ROWS, N_SHARDS = 484, 14
"""Ten shards of 48 rows, and one row of each other split."""

LIMITS = {"train": 480, "val_select": 1, "val_calibrate": 1, "test": 1, "heldout_families": 1}
SETS = ["training", "test", "heldout_families"]
SMALL = ["--recipe", "smoke", "--styles", "oe", "--rows-per-shard", "48", "--workers", "1:2"]
SMALL += [str(part) for split, most in LIMITS.items() for part in (f"--source.limits.{split}", most)]

HITS = {"worker": 0, "driver": 0}
"""Processes that were alive when they were killed, over all seeds that are run."""

SEEDS_RUN = list[int]()

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    """A head of its own, which outlives the drivers that are killed."""
    with ray_head(tmp_path_factory.mktemp("ray")) as head:
        yield head


def start(out: Path, cluster: RayHead, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "jobs/generate.py", *SMALL, "--out", str(out), "--ray.address", cluster.address]
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, env=cluster.environment)


def finish(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.wait(timeout=LIMIT_S) == 0, log.read_text(errors="replace")[-3000:]


def n_shards(out: Path) -> int:
    folder = out / "answers"
    return sum(len(find_shards(Location(str(place)))) for place in folder.iterdir()) if folder.is_dir() else 0


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    """Whether the moment came before the job ended."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, "the moment did not come"
        time.sleep(0.01)
    return True


def generating(head: psutil.Process) -> list[psutil.Process]:
    """The actors' processes; Ray names a process by what it does."""
    found = []
    for member in head.children(recursive=True):
        try:
            if any("MapWorker" in part for part in member.cmdline()):
                found.append(member)
        except psutil.Error:
            continue
    return found


def contents(out: Path) -> dict[str, bytes]:
    """Every answer shard that counts by its set and number, byte for byte."""
    places = list((out / "answers").iterdir())
    assert len(places) == len(SETS)
    return {
        f"{place.name}/{name.split('-')[1]}": (place / name).read_bytes()
        for place in places
        for name in json.loads((place / "manifest.json").read_text())["shards"]
    }


@pytest.fixture(scope="module")
def calm(cluster, tmp_path_factory) -> dict[str, bytes]:
    out, log = tmp_path_factory.mktemp("calm") / "out", tmp_path_factory.mktemp("log") / "log"
    finish(start(out, cluster, log), log)
    said = log.read_text()
    assert "tokens/s" in said
    assert "first shard after" in said
    shards = contents(out)
    assert len(shards) == N_SHARDS
    return shards


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 10))])
def test_killed_at_a_random_moment_rows_and_answers_are_those_of_a_calm_run(cluster, calm, tmp_path, seed) -> None:
    SEEDS_RUN.append(seed)
    out, log, draw = tmp_path / "out", tmp_path / "log", random.Random(seed)
    process = start(out, cluster, log)
    first, second = sorted(draw.choices(range(N_SHARDS - 1), k=2))
    assert wait_for(lambda: n_shards(out) >= first and bool(generating(cluster.process)), process)
    time.sleep(draw.uniform(0, 0.3))
    if workers := generating(cluster.process):
        draw.choice(workers).kill()
        HITS["worker"] += 1
    if wait_for(lambda: n_shards(out) >= second, process):
        time.sleep(draw.uniform(0, 0.3))
    HITS["driver"] += process.poll() is None
    process.kill()
    process.wait(timeout=30)
    finish(start(out, cluster, log), log)
    assert contents(out) == calm


def test_the_kills_met_processes_at_work() -> None:
    assert min(HITS.values()) >= 0.7 * len(SEEDS_RUN), (HITS, SEEDS_RUN)


def test_a_finished_run_does_nothing(cluster, calm, tmp_path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    finish(start(out, cluster, log), log)
    before = {path: path.stat().st_mtime_ns for path in (out / "answers").glob("*/*")}
    finish(start(out, cluster, log), log)
    assert {path: path.stat().st_mtime_ns for path in (out / "answers").glob("*/*")} == before
    figures = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("  {")][-len(SETS) :]
    assert [each["set"] for each in figures] == SETS
    assert sum(each["counts"]["out"] for each in figures) == N_ROWS
    for each in figures:
        n_rows = each["counts"]["in"]
        assert each["counts"] == {"in": n_rows, "out": n_rows, "errors": 0, "cut_on_the_left": 0, "close": 0}
        assert each["figures_this_run"]["tokens_read"] > 0
    assert "finished before" in log.read_text()
