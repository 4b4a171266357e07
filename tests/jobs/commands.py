"""Whole commands as a user types them, on runs as small as show what they have to; and what they leave on disk."""

from collections.abc import Mapping
import json
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

from pyarrow import parquet

from raycalib.storage import Location, find_shards
from raycalib.storage.manifest import MANIFEST_NAME

ROOT = Path(__file__).parents[2]
LIMIT_S = 400
LIMITS = {"train": 64, "val-select": 16, "val-calibrate": 64, "test": 32, "heldout-families": 16}
SMALL = ["--recipe", "smoke", "--ray.train-workers", "1", "--tuning.steps", "4", "--tuning.warmup-steps", "0"]
SMALL += [text for split, n_rows in LIMITS.items() for text in (f"--source.limits.{split}", str(n_rows))]
TWO_COMBOS = [*SMALL, "--models", "llama2:7b", "mistral:7b", "--styles", "oe", "--tuning.steps", "200"]
TWO_COMBOS += ["--tuning.checkpoint-every", "20", "--rows-per-shard", "16"]
STAGES = ("questions", "answers", "labelled", "features", "scored", "predictions", "figures")
Files = dict[str, int]


def run_job(
    name: str, *flags: str, code: int = 0, environment: Mapping[str, str] = os.environ, root: Path = ROOT
) -> str:
    """Runs a command to its end, and prints its seconds; what it said, standard error last."""
    began = time.monotonic()
    command = [sys.executable, f"jobs/{name}.py", *flags]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    print(f"{time.monotonic() - began:.1f} s, code {done.returncode}: {name} {' '.join(flags)}")
    said = done.stdout + done.stderr
    assert done.returncode == code, said[-4000:]
    return said


def files_below(*places: Path) -> Files:
    """When each file was written last, and for each directory 0."""
    found = [path for place in places for path in place.rglob("*")]
    return {str(path): path.stat().st_mtime_ns if path.is_file() else 0 for path in found}


def of_training(out: Path) -> Files:
    """All that a run has learned from and learned: the training set's shards, and what is tuned."""
    of_set = [
        place
        for stage in ("questions", "answers", "labelled", "features")
        for place in sorted((out / stage).iterdir())
        if "-training-" in place.name
    ]
    return files_below(out / "tuned", *of_set)


def directories(out: Path) -> set[str]:
    """Of all stages."""
    return {f"{stage}/{place.name}" for stage in STAGES if (out / stage).is_dir() for place in (out / stage).iterdir()}


def rows_of(place: Path) -> list[dict[str, Any]]:
    """Of a finished stage's shards, each in its manifest once: of two jobs' attempts that names one."""
    manifest = json.loads((place / MANIFEST_NAME).read_text())
    numbers = [int(name.split("-")[1]) for name in manifest["shards"]]
    assert numbers == sorted(find_shards(Location(str(place)))), place
    rows = [row for name in manifest["shards"] for row in parquet.read_table(place / name).to_pylist()]
    assert len(rows) == manifest["counts"]["out"], place
    return rows


def predictions(out: Path, report: str = "report") -> dict[tuple[str, ...], float | None]:
    """P(correct) by model, style, set, method and row, of all that a report was made from."""
    found = dict[tuple[str, ...], float | None]()
    for record in json.loads((out / report / "evaluations.json").read_text())["evaluations"]:
        for row in rows_of(out / record["predictions"]):
            key = (record["model"], record["style"], record["set"], row["method"], row["row_id"])
            assert key not in found, "a row is there twice"
            found[key] = row["p_correct"]
    return found


def summary(out: Path, report: str = "report") -> dict[tuple[str, ...], dict[str, Any]]:
    """A report's rows, by model, style, set and method."""
    rows = json.loads((out / report / "summary.json").read_text())
    found = {(row["model"], row["style"], row["split"], row["method"]): row for row in rows}
    assert len(found) == len(rows), "a row is there twice"
    return found


def write_facts(path: Path, n_rows: int, first: int = 0) -> Path:
    """Questions of one's own about capitals, which the embedded models know something of."""
    capitals = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Peru": "Lima", "Japan": "Tokyo"}
    named = list(capitals.items())
    lines = [
        {"question": f"What is the capital of {named[i % 5][0]}, number {i}?", "answer": named[i % 5][1]}
        for i in range(first, first + n_rows)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path
