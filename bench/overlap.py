"""Four models whose answers a judge's server labels: side by side, and one after the other.

python bench/overlap.py                      # about nine minutes on two cores
python bench/overlap.py --rows 200

A real server on this machine takes 200 ms for a reply and makes so many at once that judging all answers takes about as
long as generating them, which is measured first; an answer that two models give to one question is asked about once.
Each run is a process of its own in a new directory. The goal: side by
side at most 0.7 of the time of one after the other, with the same labels. Ends with one line of JSON.
"""

import argparse
from dataclasses import replace
import json
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

from judge_server import JudgeServer
import safetensors.torch
import torch

from raycalib import steps
from raycalib.judging.settings import JudgeSettings
from raycalib.lm.names import ModelSource, embedded_root
from raycalib.recipes import recipe
from raycalib.sources import SourceSettings
from raycalib.sources.facts.questions import fact_questions
from raycalib.sources.facts.splits import SPLITS
from raycalib.stages.settings import RaySettings

LATENCY_S = 0.2
PASSAGE = 16
"""Facts told before a question: about 250 tokens."""

MODELS = {
    "llama2:7b": "llama2-7b",
    "llama2:7b-chat": "llama2-7b",
    "mistral:7b": "mistral-7b",
    "mistral:7b-instruct": "mistral-7b",
}
"""Names of four models, and the embedded weights that each has here, made different by noise: models that say the same
would be judged once."""

NOISE = 0.3
"""Standard deviation of what each weight is changed by, relatively."""


def write_questions(folder: Path, rows: int) -> Path:
    """Questions on embedded facts with a passage before each, as those have whose answers are looked up."""
    path = folder / f"questions-{rows}.jsonl"
    facts = {split: fact_questions("oe", split, 137, rows if split == "train" else 1) for split in SPLITS[:4]}
    told = [f"{row['context'].removeprefix('Question: ')} {row['target']}." for row in facts["train"]]
    lines = []
    for split, of_split in facts.items():
        for number, row in enumerate(of_split):
            others = [told[(number + step) % len(told)] for step in range(1, PASSAGE + 1)]
            question = row["context"].removeprefix("Question: ")
            lines.append({"question": question, "answer": row["target"], "context": " ".join(others), "split": split})
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def write_models(root: Path) -> None:
    """Four models of the same cost, whose answers differ."""
    for seed, (name, weights) in enumerate(MODELS.items()):
        place, draw = root / name.replace(":", "-"), torch.Generator().manual_seed(seed)
        shutil.copytree(embedded_root() / weights, place)
        file = place / "model.safetensors"
        tensors = safetensors.torch.load_file(file)
        for tensor in tensors.values():
            if tensor.ndim > 1:
                tensor *= 1 + NOISE * torch.randn(tensor.shape, generator=draw).to(tensor)
        safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})


def work(out: str, rows: int, at_once: int, url: str) -> dict[str, Any]:
    """Answers of all models, and their labels where there is a judge; seconds from the first answer on, and labels.

    Without a judge the requests that there would be are counted.
    """
    root = Path(out).parent / "models"
    config = replace(
        recipe("demo"),
        out=out,
        models=tuple(MODELS),
        model_root=str(root),
        styles=("oe",),
        source=SourceSettings(name=f"file:{write_questions(Path(out).parent, rows)}"),
        rows_per_shard=32,
        at_once=at_once,
        grader="judge" if url else "exact",
        judge=JudgeSettings(model="judge", base_url=url) if url else JudgeSettings(),
        ray=RaySettings(),
    )
    with steps.open_run(config) as run:
        asked = steps.questions(run)
        run.cluster.connect()

        requests = set[tuple[str, str]]()

        def do(model: ModelSource) -> list[tuple[str, int | None]]:
            answered = steps.answers(run, model, asked)
            if not url:
                requests.update((row["row_id"], row["answer"]) for output in answered.values() for row in output.rows())
                return []
            labelled = steps.labels(run, model, answered)
            return [(row["row_id"], row["query_label"]) for output in labelled.values() for row in output.rows()]

        started = time.monotonic()
        labels = run.for_each_model(do)
        seconds = time.monotonic() - started
        run.end()
    return {
        "seconds": round(seconds, 1),
        "labels": labels,
        "requests": len(requests),
        "rows": sum(output.manifest.counts["out"] for output in asked.values()),
    }


def measured(folder: Path, name: str, rows: int, at_once: int, url: str = "") -> dict[str, Any]:
    """A run in a process of its own."""
    command = [sys.executable, __file__, "--rows", str(rows), "--work", str(folder / name), "--at-once", str(at_once)]
    done = subprocess.run([*command, "--url", url], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {found['seconds']} s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2500, help="of each model, beside three of other splits")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--at-once", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work, options.rows, options.at_once, options.url)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_models(folder / "models")
        measured(folder, "warming up", options.rows // 8, 1)
        generating = measured(folder, "generating", options.rows, 1)
        slots = max(1, round(generating["requests"] / generating["seconds"] * LATENCY_S))
        with JudgeServer(latency_s=LATENCY_S, slots=slots) as server:
            in_turn = measured(folder, "one after the other", options.rows, 1, server.url)
        with JudgeServer(latency_s=LATENCY_S, slots=slots) as server:
            beside = measured(folder, "side by side", options.rows, 0, server.url)
    same = in_turn["labels"] == beside["labels"]
    print(
        json.dumps(
            {
                "bench": "overlap",
                "models": len(MODELS),
                "rows_of_each": generating["rows"],
                "requests": generating["requests"],
                "judge_slots": slots,
                "seconds": {
                    "generating": generating["seconds"],
                    "in_turn": in_turn["seconds"],
                    "side_by_side": beside["seconds"],
                },
                "ratio": round(beside["seconds"] / in_turn["seconds"], 3),
                "same_labels": same,
            }
        )
    )


if __name__ == "__main__":
    main()
