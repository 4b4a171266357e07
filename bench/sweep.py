"""A sweep of two combos against grids of single commands, by processor time.

python bench/sweep.py                # about fifteen minutes on two cores

Three ways to the same cells, each in a new directory, by whole commands:
  plain grid    every trial by itself from questions on: jobs/full_pipeline.py with a directory of its own
  shared grid   one jobs/tune.py for each trial, all into one directory: answers, labels, reference states are there
  sweep         jobs/sweep.py
Goals: processor seconds of the sweep at most a quarter of the plain grid's, and at most 0.6 of the shared grid's, with
the same best validation NLL for each combo. Processor time is the machine's, so nothing else may run. Ends with one
line of JSON.
"""

import argparse
import csv
from itertools import product
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
MODELS = ("llama2:7b", "mistral:7b")
KL_DECAYS = ("0", "1")
STEPS = ("40", "80")
METHODS = "zero_shot_query,answer_likelihood,lora_prompt"


def flags(rows: int) -> list[str]:
    """What all commands share: the demo's settings, fewer rows."""
    limits = {"train": rows, "val_select": 200, "val_calibrate": 200, "test": 200, "heldout_families": 100}
    chosen = [str(text) for limit in limits.items() for text in limit]
    return ["--recipe", "demo", "--styles", "oe", "--n-resamples", "100", "--source.limits", *chosen]


def run(job: str, *arguments: str) -> None:
    """A whole command."""
    command = [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stdout[-2000:]}")


def processor_seconds() -> float:
    """That all processes of the machine have used so far."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def of_tuned(place: Path) -> dict[tuple[str, str, str], float]:
    """The least validation NLL of each trial, by model, KL decay and steps."""
    found = {}
    for training in place.rglob("tuned/*/training.json"):
        manifest = json.loads((training.parent / "manifest.json").read_text())
        settings = manifest["config"]["settings"]
        key = (manifest["config"]["model"], f"{settings['kl_decay']:g}", str(settings["steps"]))
        found[key] = float(json.loads(training.read_text())["best_nll"])
    return found


def plain_grid(folder: Path, rows: int) -> dict[tuple[str, str, str], float]:
    """Every trial by itself."""
    for model, kl_decay, steps in product(MODELS, KL_DECAYS, STEPS):
        cell = ["--tuning.kl-decay", kl_decay, "--tuning.steps", steps, "--models", model, "--methods", METHODS]
        run(
            "full_pipeline", *flags(rows), *cell, "--out", str(folder / f"{model.partition(':')[0]}-{kl_decay}-{steps}")
        )
    return of_tuned(folder)


def shared_grid(folder: Path, rows: int) -> dict[tuple[str, str, str], float]:
    """Each trial by a command of its own, where what the others made is there."""
    for model, kl_decay, steps in product(MODELS, KL_DECAYS, STEPS):
        cell = ["--tuning.kl-decay", kl_decay, "--tuning.steps", steps, "--models", model]
        run("tune", *flags(rows), *cell, "--out", str(folder))
    return of_tuned(folder)


def sweep(folder: Path, rows: int) -> dict[tuple[str, str, str], float]:
    """All trials by one command."""
    axes = ["--axis", f"kl_decay={','.join(KL_DECAYS)}", "--axis", f"steps={','.join(STEPS)}"]
    run("sweep", *flags(rows), "--models", *MODELS, *axes, "--methods", METHODS, "--out", str(folder))
    with (folder / "sweep" / "leaderboard.csv").open(newline="") as file:
        return {
            (row["combo"].rpartition("/")[0], f"{float(row['kl_decay']):g}", row["steps"]): float(row["nll"])
            for row in csv.DictReader(file)
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000, help="training rows of each combo")
    rows = parser.parse_args().rows
    figures: dict[str, dict[str, float]] = {}
    nll: dict[str, dict[tuple[str, str, str], float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, way in (("sweep", sweep), ("shared grid", shared_grid), ("plain grid", plain_grid)):
            began, before = time.monotonic(), processor_seconds()
            nll[name] = way(Path(temporary) / name, rows)
            figures[name] = {
                "cpu_s": round(processor_seconds() - before, 1),
                "wall_s": round(time.monotonic() - began, 1),
            }
            print(f"{name}: {figures[name]}", flush=True)
    print(json.dumps(result(rows, figures, nll)))


def result(
    rows: int, figures: dict[str, dict[str, float]], nll: dict[str, dict[tuple[str, str, str], float]]
) -> dict[str, Any]:
    """Ratios, and how far the ways' best NLLs are apart."""
    best = {
        name: {model: min(of for key, of in found.items() if key[0] == model) for model in MODELS}
        for name, found in nll.items()
    }
    apart = max(abs(best[name][model] - best["sweep"][model]) for name in best for model in MODELS)
    cpu = {name: of["cpu_s"] for name, of in figures.items()}
    return {
        "bench": "sweep",
        "combos": len(MODELS),
        "trials": len(nll["sweep"]),
        "training_rows": rows,
        "figures": figures,
        "ratio_to_plain_grid": round(cpu["sweep"] / cpu["plain grid"], 3),
        "ratio_to_shared_grid": round(cpu["sweep"] / cpu["shared grid"], 3),
        "best_nll": best["sweep"],
        "best_nll_apart": round(apart, 9),
    }


if __name__ == "__main__":
    main()
