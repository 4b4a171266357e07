"""How generation, judging and tuning grow with workers, where their time goes, and a model of it that foretells more.

python bench/scale.py                          # about fifteen minutes on two cores
python bench/scale.py --stages generate judge

Each point is a whole job in a process of its own, with 1, 2, 3 or 4 workers. Generation and judging ask servers on this
machine whose replies take as long as they are told: they stand for GPUs, whose time costs no core here, so that four
workers can be told from two on two cores. Tuning computes, and gains nothing beyond the cores. A job's time is taken
apart: start-up (imports, Ray, processes of workers, until the first unit could begin), work (of the processes, over
their number), and waiting; the driver's own processor time lies beside them. The model a + w S / n + d S for S units
(shards, trials) on n workers is fitted on four points, start-up by itself, and has to foretell a fifth. Ends with one
line of JSON.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

from completions_server import CompletionsServer
from judge_server import JudgeServer
import numpy as np

ROOT = Path(__file__).parents[1]
ROWS, IN_FLIGHT, LATENCY_S = 16, 4, 0.25
SHARD_S = ROWS / IN_FLIGHT * LATENCY_S
"""Of a worker, for a shard of rows of which so many are at the server at once."""
POINTS = ((1, 24), (2, 24), (4, 24), (4, 48))
FIFTH = (3, 36)
TRIALS = ((1, 4), (2, 4), (4, 4), (4, 8))
FIFTH_OF_TRIALS = (3, 6)
CORES = os.cpu_count() or 1
LARGE_SHARD_S = {"answers": 26.7, "features": 4.3}
"""Seconds of an H100 for a shard of 256 rows of a 7B model, by ``jobs/full_pipeline.py --recipe paper --plan``."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A job, taken apart.

    Attributes:
        workers, units: of it.
        wall_s: of the whole job.
        startup_s: until a worker could begin.
        work_s: of the workers, over their number.
        driver_s: processor time of the driver.
    """

    workers: int
    units: int
    wall_s: float
    startup_s: float
    work_s: float
    driver_s: float

    @property
    def shares(self) -> dict[str, float]:
        """Of the job's time; the driver's lies beside the others."""
        waiting = max(0.0, self.wall_s - self.startup_s - self.work_s)
        parts = {"startup": self.startup_s, "work": self.work_s, "waiting": waiting, "driver": self.driver_s}
        return {name: round(value / self.wall_s, 3) for name, value in parts.items()}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job's seconds on the clock and of its own process, when it began, and what it said."""

    wall_s: float
    driver_s: float
    began: float
    said: str


def run(*command: str) -> Ended:
    """Runs a job of the repository to its end."""
    began, clock = time.time(), time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - clock
        log.seek(0)
        said = log.read().decode(errors="replace")
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}:\n{said[-3000:]}")
    return Ended(wall_s=wall, driver_s=used.ru_utime + used.ru_stime, began=began, said=said)


def of_pool(ended: Ended, stage: Path, workers: int) -> Point:
    """A job with one pool that matters, by the manifests of its sets; work is what the server took for all rows."""
    manifests = [json.loads(path.read_text()) for path in stage.glob("*/manifest.json")]
    details = [manifest["details"] for manifest in manifests]
    (first_s,) = (each["first_shard_s"] for each in details if each["first_shard_s"] is not None)
    n_rows = sum(manifest["counts"]["out"] for manifest in manifests)
    return Point(
        workers=workers,
        units=n_rows // ROWS,
        wall_s=ended.wall_s,
        startup_s=ended.wall_s - sum(each["seconds"] for each in details) + max(0.0, first_s - SHARD_S),
        work_s=n_rows / ROWS * SHARD_S / workers,
        driver_s=ended.driver_s,
    )


def pool_flags(workers: int) -> list[str]:
    """So many workers, as parts of processors, since they wait for a server."""
    return ["--workers", f"{workers}:{workers}", "--ray.cpus-per-worker", str(CORES / 8)]


def generate(workers: int, units: int, place: Path) -> Point:
    """Answers of a server to so many shards of questions."""
    limits = {"train": ROWS * (units - 4)} | dict.fromkeys(
        ("val_select", "val_calibrate", "test", "heldout_families"), ROWS
    )
    flags = ["--source.limits", *(text for split, n in limits.items() for text in (split, str(n)))]
    out = place / f"generate-{workers}-{units}"
    with CompletionsServer(LATENCY_S) as server:
        flags += ["--engine", "openai", "--engine.base-url", server.url, "--engine.max-in-flight", str(IN_FLIGHT)]
        flags += ["--models", "llama2:7b", "--styles", "oe", "--rows-per-shard", str(ROWS), *pool_flags(workers)]
        return of_pool(run("jobs/generate.py", *flags, "--out", str(out)), out / "answers", workers)


def judge(workers: int, units: int, place: Path) -> Point:
    """Verdicts of a server on so many shards of answers, no two of them the same."""
    answers, out = place / f"answers-{units}.jsonl", place / f"judge-{workers}-{units}"
    rows = [{"question": f"What is number {i}?", "target": f"{i}", "answer": f"{i}"} for i in range(ROWS * units)]
    answers.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with JudgeServer(latency_s=LATENCY_S, reply="Yes") as server:
        flags = ["--grader", "judge", "--judge-model", "m", "--judge-base-url", server.url]
        flags += ["--judge-concurrency", str(IN_FLIGHT), "--rows-per-shard", str(ROWS), *pool_flags(workers)[2:]]
        flags += ["--ray.min-workers", str(workers), "--ray.max-workers", str(workers)]
        ended = run("jobs/label.py", "--answers", str(answers), *flags, "--max-unscored", "1", "--out", str(out))
        return of_pool(ended, out / "labelled", workers)


TRIAL = [
    "--recipe",
    "smoke",
    "--combos",
    "llama2:7b/oe",
    "--tuning.steps",
    "60",
    "--methods",
    "zero_shot_query,lora_prompt",
]


def tune(workers: int, units: int, place: Path) -> Point:
    """So many trials on answers, labels and features that are there."""
    base, out = place / "tune-base", place / f"tune-{workers}-{units}"
    if not base.is_dir():
        run("jobs/sweep.py", *TRIAL, "--axis", "seed=0", "--tuning.steps", "1", "--out", str(base))
        shutil.rmtree(base / "tuned")
    shutil.copytree(base, out)
    seeds = ",".join(str(seed) for seed in range(1, units + 1))
    flags = [
        "--axis",
        f"seed={seeds}",
        "--ray.max-workers",
        str(workers),
        "--ray.cpus-per-worker",
        str(CORES / max(CORES, workers)),
    ]
    ended = run("jobs/sweep.py", *TRIAL, *flags, "--out", str(out))
    trials = [path.parent for path in out.glob("tuned/*/spent.json")]
    begun = min(int(event.name.split(".")[3]) for trial in trials for event in trial.glob("**/events.out.tfevents.*"))
    over = max((trial / "manifest.json").stat().st_mtime for trial in trials)
    spent = sum(json.loads((trial / "spent.json").read_text())["seconds"] for trial in trials)
    wall = over - ended.began
    return Point(
        workers=workers,
        units=len(trials),
        wall_s=wall,
        startup_s=begun - ended.began,
        work_s=spent / workers,
        driver_s=ended.driver_s,
    )


def fitted(points: Sequence[Point], most_at_once: int) -> tuple[float, float, float]:
    """Seconds of start-up (the median), and of a unit on a worker and in the driver, by least squares; none below 0."""
    startup = float(np.median([each.startup_s for each in points]))
    design = np.array([[each.units / min(each.workers, most_at_once), each.units] for each in points])
    after = np.array([each.wall_s - each.startup_s for each in points])
    found, *_ = np.linalg.lstsq(design, after, rcond=None)
    if found[1] < 0:
        found = np.array([np.linalg.lstsq(design[:, :1], after, rcond=None)[0][0], 0.0])
    return startup, float(found[0]), float(found[1])


def measured(stage: str, place: Path) -> dict[str, Any]:
    """A stage's points, its model, and how far off that is on the fifth."""
    do, most = STAGES[stage], CORES if stage == "tune" else 10**6
    fit_on, fifth = (TRIALS, FIFTH_OF_TRIALS) if stage == "tune" else (POINTS, FIFTH)
    points = []
    for workers, units in (*fit_on, fifth):
        points.append(do(workers, units, place))
        said = " ".join(f"{name} {share:.0%}" for name, share in points[-1].shares.items())
        print(f"{stage}: {workers} worker(s), {points[-1].units} units: {points[-1].wall_s:.1f} s: {said}", flush=True)
    startup, unit, driver = fitted(points[:-1], most)
    last = points[-1]
    foretold = startup + unit * last.units / min(last.workers, most) + driver * last.units
    print(
        f"{stage}: {startup:.1f} s + {unit:.2f} s x units / workers + {driver * 1000:.0f} ms x units; the fifth point "
        f"took {last.wall_s:.1f} s, {foretold:.1f} were foretold"
    )
    return {
        "points": [{name: round(value, 2) for name, value in asdict(each).items()} | each.shares for each in points],
        "startup_s": round(startup, 2),
        "unit_s": round(unit, 3),
        "driver_ms_per_unit": round(1000 * driver, 1),
        "fifth_foretold_over_measured": round(foretold / last.wall_s, 3),
    }


STAGES: dict[str, Callable[[int, int, Path], Point]] = {"generate": generate, "judge": judge, "tune": tune}


def efficiency(unit_s: float, driver_s: float, n_gpus: int) -> float:
    """Share of so many workers' time that is work, while there are many more units than workers.

    A driver that takes longer for a unit than all workers together is what all wait for.
    """
    return min(1.0, unit_s / (n_gpus * driver_s)) if driver_s else 1.0


def main() -> None:
    """Measures, fits, foretells."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="what is measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = {stage: measured(stage, Path(place)) for stage in arguments.stages}
    result: dict[str, Any] = {"bench": "scale", "cores": CORES, "stages": found}
    if "generate" in found:
        driver_s = found["generate"]["driver_ms_per_unit"] / 1000
        result["efficiency"] = {
            f"{stage} on {n} H100": round(efficiency(seconds, driver_s, n), 3)
            for stage, seconds in LARGE_SHARD_S.items()
            for n in (8, 64)
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
