from collections.abc import Iterator
import math
import random
from typing import Any

import pytest

from raycalib.reports import render_page

COMBOS = [
    ("llama2:7b", "oe"),
    ("llama2:7b", "choice"),
    ("mistral:7b", "oe"),
    ("mistral:7b-instruct", "choice"),
]
SPLITS = {"test": 1204, "test_fresh_entities": 388, "heldout_families": 642}
TASKS = ["author_of", "capital_of", "chemical_symbol", "currency_of", "plural_of", "sum", "year_of_event"]
# Per method: ECE, AUROC, AUROC within tasks, Brier, NLL, AURC.
LEVELS = {
    "zero_shot_query": (0.287, 0.561, 0.548, 0.318, 0.871, 0.472),
    "answer_likelihood": (0.121, 0.694, 0.671, 0.221, 0.642, 0.371),
    "family_rate": (0.034, 0.712, 0.5, 0.198, 0.583, 0.355),
    "lora_prompt": (0.082, 0.781, 0.731, 0.184, 0.561, 0.298),
    "lora_prompt+temperature": (0.031, 0.781, 0.731, 0.177, 0.531, 0.298),
    "probe": (0.097, 0.762, 0.711, 0.193, 0.588, 0.312),
    "probe+temperature": (0.038, 0.762, 0.711, 0.185, 0.549, 0.312),
}
COMBO_LISTS = ("summary", "reliability", "risk_coverage", "tasks", "training", "temperatures")
METRICS = ("ece", "auroc", "within_task_auroc", "brier", "nll", "aurc")


def _interval(value: float, width: float = 0.021) -> dict[str, float]:
    return {"value": value, "low": max(0.0, value - width), "high": value + width * 1.1}


def _summary(draw: random.Random) -> Iterator[dict[str, Any]]:
    for split, n in SPLITS.items():
        harder = 0.07 if split == "heldout_families" else 0.0
        for model, style in COMBOS:
            shift = draw.uniform(-0.02, 0.02)
            accuracy = _interval(0.46 + 3 * shift - harder)
            for method in LEVELS:
                level = dict(zip(METRICS, LEVELS[method], strict=True))
                row: dict[str, Any] = {"model": model, "style": style, "method": method, "split": split}
                row |= {"n": n, "n_unscored": 3 if style == "oe" else 0, "accuracy": accuracy}
                for metric in ("ece", "brier", "nll", "aurc"):
                    row[metric] = _interval(level[metric] + abs(shift) / 2 + harder / 2)
                row["auroc"] = _interval(level["auroc"] + shift - harder)
                within = level["within_task_auroc"] + shift - harder
                row["within_task_auroc"] = {"value": within, "n_tasks": 24, "n_tasks_left_out": 3}
                row["ece_noise_floor"] = {"mean": 0.024, "quantile_95": 0.036}
                yield row


def _undefine_family_rate_on_heldout(summary: list[dict[str, Any]]) -> None:
    for row in summary:
        if row["method"] == "family_rate" and row["split"] == "heldout_families":
            row["auroc"] = {"value": None, "low": None, "high": None}
            row["within_task_auroc"] = {"value": None, "n_tasks": 0, "n_tasks_left_out": 9}


def _reliability(draw: random.Random) -> Iterator[dict[str, Any]]:
    for model, style in COMBOS:
        for method in LEVELS:
            slope = 0.35 if method == "zero_shot_query" else 0.95 if "+" in method else 0.75
            confidence: list[float | None] = [0.03 + 0.066 * index for index in range(15)]
            accuracy = [
                min(1.0, max(0.0, 0.46 + slope * (value - 0.46) + draw.gauss(0, 0.03)))
                for value in confidence
                if value is not None
            ]
            count = [80 + draw.randrange(3) for _ in confidence]
            count[0], confidence[0] = 0, None
            shown = [None, *accuracy[1:]]
            base = {"model": model, "style": style, "method": method, "split": "test"}
            yield base | {"count": count, "mean_confidence": confidence, "accuracy": shown}


def _risk_coverage(draw: random.Random) -> Iterator[dict[str, Any]]:
    coverage = [(index + 1) / 200 for index in range(200)]
    for split in ("test", "heldout_families"):
        for model, style in COMBOS:
            for method in LEVELS:
                steep = (LEVELS[method][1] - 0.5) * 1.6
                noise = [draw.gauss(0, 0.15 / math.sqrt(index + 1)) for index in range(200)]
                risk = [
                    min(1.0, max(0.0, 0.54 - steep * (1 - share) + jitter * (1 - share)))
                    for share, jitter in zip(coverage, noise, strict=True)
                ]
                base = {"model": model, "style": style, "method": method, "split": split}
                yield base | {"coverage": coverage, "risk": risk}


def _tasks(draw: random.Random) -> Iterator[dict[str, Any]]:
    for split in SPLITS:
        for model, style in COMBOS:
            for task in TASKS:
                auroc = {method: LEVELS[method][2] + draw.uniform(-0.1, 0.1) for method in LEVELS}
                row: dict[str, Any] = {"model": model, "style": style, "split": split, "task": task}
                scored = None if task == "sum" else auroc
                yield row | {
                    "n": draw.randrange(20, 90),
                    "accuracy": draw.random(),
                    "auroc": scored or dict.fromkeys(LEVELS),
                }


def _training(draw: random.Random) -> Iterator[dict[str, Any]]:
    for model, style in COMBOS:
        history = [
            {
                "step": step,
                "query_loss": 0.52 + 0.3 * math.exp(-step / 60),
                "divergence": 0.01 * (1 - math.exp(-step / 80)),
                "val_nll": 0.54 + 0.25 * math.exp(-step / 60) + 0.0002 * step + draw.gauss(0, 0.004),
                "val_auroc": 0.78 - 0.2 * math.exp(-step / 60),
            }
            for step in range(0, 401, 25)
        ]
        best = min(history, key=lambda point: point["val_nll"])
        yield {"model": model, "style": style, "best_step": best["step"], "history": history}


def _temperatures() -> Iterator[dict[str, Any]]:
    for model, style in COMBOS:
        for method, temperature in (("lora_prompt", 1.31), ("probe", 1.74)):
            fit = {"temperature": temperature, "n": 640, "nll_before": 0.561, "nll_after": 0.531}
            yield {"model": model, "style": style, "method": method} | fit


def _make_report() -> dict[str, Any]:
    draw = random.Random(137)
    summary = list(_summary(draw))
    _undefine_family_rate_on_heldout(summary)
    return {
        "title": "raycalib: full pipeline, demo",
        "created": "2025-01-31T12:34:56+00:00",
        "config": {"seed": 137, "tuning": {"steps": 400, "lr": 0.0001, "lora": {"rank": 8, "alpha": 32}}},
        "versions": {"python": "3.11.7", "torch": "2.9.0", "ray": "2.50.0"},
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "summary": summary,
        "reliability": list(_reliability(draw)),
        "risk_coverage": list(_risk_coverage(draw)),
        "tasks": list(_tasks(draw)),
        "training": list(_training(draw)),
        "temperatures": list(_temperatures()),
        "notes": ["llama2:7b oe, test: family rate has the lower ECE, 0.034 against 0.036."],
    }


@pytest.fixture
def report() -> dict[str, Any]:
    """Four combos, seven methods, three splits."""
    return _make_report()


@pytest.fixture
def small_report(report: dict[str, Any]) -> dict[str, Any]:
    """The same with one combo, which renders in a fraction of the time."""
    model, style = COMBOS[0]
    lists = {name: rows for name, rows in report.items() if name in COMBO_LISTS}
    return report | {
        name: [row for row in rows if (row["model"], row["style"]) == (model, style)] for name, rows in lists.items()
    }


@pytest.fixture(scope="session")
def page() -> str:
    """The full report's page, rendered once."""
    return render_page(_make_report())


@pytest.fixture
def heldout_report(small_report: dict[str, Any]) -> dict[str, Any]:
    """One combo of a run whose questions for evaluation are all of sources that are not tuned on."""
    heldout = {
        name: [row for row in small_report[name] if row["split"] == "heldout_families"]
        for name in ("summary", "risk_coverage", "tasks")
    }
    reliability = [row | {"split": "heldout_families"} for row in small_report["reliability"]]
    return small_report | heldout | {"reliability": reliability}
