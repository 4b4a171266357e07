"""A sweep of two combos against grids of single commands, by processor time.

python bench/sweep.py                # about twenty minutes on two cores
python bench/sweep.py --ways "sweep on trunks" "shared grid"    # seven

Four ways to the same cells, each in a new directory, by whole commands:
  plain grid       every trial by itself from questions on: jobs/full_pipeline.py with a directory of its own
  shared grid      one jobs/tune.py for each trial, all into one directory: answers, labels, reference states are there
  sweep            jobs/sweep.py, with the grids' schedule (cosine)
  sweep on trunks  jobs/sweep.py --tuning.schedule wsd, where trials of other lengths share their beginning
Goals: processor seconds of a sweep at most a quarter of the plain grid's, and at most 0.6 of the shared grid's, with
the same best validation NLL for each combo: zero lies within the 95 % interval of the difference to the plain grid's
best trial, row by row. The shared grid only tunes, where a sweep goes on to evaluate and report what it has chosen: so
it is compared with what a sweep has taken when its choice is written, and with the whole command. Processor time is the
machine's, so nothing else may run. Ends with one line of JSON.
"""

import argparse
from collections.abc import Callable
from itertools import product
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import psutil

from raycalib.stages.tuned.trial_files import read_validation
from raycalib.storage import Location
from raycalib.sweeps.trials import NORMAL_95
from raycalib.tuning.temperature import fit_temperature

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


def run(job: str, *arguments: str, sees: Path | None = None) -> float | None:
    """A whole command; the machine's processor seconds at the moment when a file has come that it writes."""
    command = [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *arguments]
    seen_at = None
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None:
            if sees is not None and seen_at is None and sees.exists():
                seen_at = processor_seconds()
            time.sleep(0.1)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}: {said.read()[-2000:].decode()}")
    return seen_at


def processor_seconds() -> float:
    """That all processes of the machine have used so far."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


Losses = dict[tuple[str, str, str], dict[str, float]]
"""Of each trial, by model, KL decay and steps: a validation row's loss by its id, at the best step and temperature."""


def of_tuned(place: Path) -> Losses:
    """The losses of all trials below a directory."""
    found = {}
    for path in place.rglob("tuned/*/manifest.json"):
        config = json.loads(path.read_text())["config"]
        rows, labels, margins = read_validation(Location(str(path.parent)))
        scaled = np.asarray(fit_temperature(margins, labels).apply(margins), dtype=np.float64)
        losses = np.logaddexp(0.0, np.where(labels == 1, -scaled, scaled))
        key = (config["model"], f"{config['settings']['kl_decay']:g}", str(config["settings"]["steps"]))
        found[key] = dict(zip(rows, losses.tolist(), strict=True))
    return found


def plain_grid(folder: Path, rows: int) -> Losses:
    """Every trial by itself."""
    for model, kl_decay, steps in product(MODELS, KL_DECAYS, STEPS):
        cell = ["--tuning.kl-decay", kl_decay, "--tuning.steps", steps, "--models", model, "--methods", METHODS]
        run(
            "full_pipeline", *flags(rows), *cell, "--out", str(folder / f"{model.partition(':')[0]}-{kl_decay}-{steps}")
        )
    return of_tuned(folder)


def shared_grid(folder: Path, rows: int) -> Losses:
    """Each trial by a command of its own, where what the others made is there."""
    for model, kl_decay, steps in product(MODELS, KL_DECAYS, STEPS):
        cell = ["--tuning.kl-decay", kl_decay, "--tuning.steps", steps, "--models", model]
        run("tune", *flags(rows), *cell, "--out", str(folder))
    return of_tuned(folder)


CHOSEN_AT: dict[str, float | None] = {}
"""Of each sweep, the machine's processor seconds when its choice was written."""


def sweep(folder: Path, rows: int, *more: str) -> Losses:
    """All trials by one command, of which what is taken at the choice is noted."""
    axes = ["--axis", f"kl_decay={','.join(KL_DECAYS)}", "--axis", f"steps={','.join(STEPS)}"]
    command = [*flags(rows), "--models", *MODELS, *axes, "--methods", METHODS, *more, "--out", str(folder)]
    CHOSEN_AT[folder.name] = run("sweep", *command, sees=folder / "sweep" / "leaderboard.csv")
    return of_tuned(folder)


def sweep_on_trunks(folder: Path, rows: int) -> Losses:
    """The same where lengths share their beginning; evaluated as often as the shorter of the grids."""
    return sweep(folder, rows, "--tuning.schedule", "wsd", "--tuning.eval-every", "8", "--tuning.checkpoint-every", "8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000, help="training rows of each combo")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="those to compare")
    given = parser.parse_args()
    if not any(way.endswith("grid") for way in given.ways):
        parser.error("--ways: name a grid to compare with")
    rows = given.rows
    figures: dict[str, dict[str, float]] = {}
    losses: dict[str, Losses] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, way in WAYS.items():
            if name not in given.ways:
                continue
            began, before = time.monotonic(), processor_seconds()
            losses[name] = way(Path(temporary) / name, rows)
            figures[name] = {
                "cpu_s": round(processor_seconds() - before, 1),
                "wall_s": round(time.monotonic() - began, 1),
            }
            if chosen_at := CHOSEN_AT.get(name):
                figures[name]["cpu_s_to_choice"] = round(chosen_at - before, 1)
            print(f"{name}: {figures[name]}", flush=True)
    print(json.dumps(result(rows, figures, losses)))


WAYS: dict[str, Callable[[Path, int], Losses]] = {
    "sweep on trunks": sweep_on_trunks,
    "sweep": sweep,
    "shared grid": shared_grid,
    "plain grid": plain_grid,
}


def result(rows: int, figures: dict[str, dict[str, float]], losses: dict[str, Losses]) -> dict[str, Any]:
    """Ratios, and how far the sweeps' best trials are from a grid's."""
    other = "plain grid" if "plain grid" in losses else "shared grid"
    sweeps = [name for name in losses if name.startswith("sweep")]
    return {
        "bench": "sweep",
        "combos": len(MODELS),
        "trials": {name: len(found) for name, found in losses.items()},
        "training_rows": rows,
        "figures": figures,
        **{
            f"ratio_to_{grid.replace(' ', '_')}{of.removeprefix('cpu_s')}": {
                name: round(figures[name][of] / figures[grid]["cpu_s"], 3) for name in sweeps
            }
            for grid in ("plain grid", "shared grid")
            for of in ("cpu_s", "cpu_s_to_choice")
            if grid in figures
        },
        "best_nll": {name: {model: mean(best(losses[name], model)) for model in MODELS} for name in losses},
        f"best_nll_above_{other.replace(' ', '_')}": {
            name: {model: difference(best(losses[name], model), best(losses[other], model)) for model in MODELS}
            for name in sweeps
        },
    }


def best(found: Losses, model: str) -> dict[str, float]:
    """The losses of the model's best trial."""
    return min((of for key, of in found.items() if key[0] == model), key=mean)


def mean(of: dict[str, float]) -> float:
    """NLL over the rows."""
    return round(sum(of.values()) / len(of), 6)


def difference(mine: dict[str, float], other: dict[str, float]) -> dict[str, Any]:
    """How much larger the one's loss is, row by row: mean, its 95 % interval, and whether that holds zero."""
    apart = np.array([mine[row] - other[row] for row in mine])
    half = NORMAL_95 * apart.std(ddof=1) / np.sqrt(len(apart))
    low, high = apart.mean() - half, apart.mean() + half
    return {"mean": round(apart.mean(), 6), "interval": [round(low, 6), round(high, 6)], "same": bool(low <= 0 <= high)}


if __name__ == "__main__":
    main()
