"""Reports of many methods, combos and evaluation sets, and of what is missing, for tests."""

from typing import Any

from raycalib.evaluation.methods import BASELINES, COMBINED, TRAINED, WITH_TEMPERATURE

EVERY_METHOD = [method + end for method in (*BASELINES, *TRAINED, COMBINED) for end in ("", WITH_TEMPERATURE)]
GIVEN = [
    "lora_prompt (from mistral:7b choice)",
    "adapter mine",
    "adapter mine+temperature",
    "probe mine+given temperature",
]
FIGURES = ("accuracy", "ece", "auroc", "brier", "nll", "aurc")


def row(model: str, method: str, split: str, value: float = 0.25, **more: Any) -> dict[str, Any]:
    """A row of the summary whose figures are all of one value."""
    interval = {"value": value, "low": value - 0.01, "high": value + 0.01}
    figures: dict[str, Any] = dict.fromkeys(FIGURES, interval)
    figures["within_task_auroc"] = {"value": value, "n": 90, "n_tasks": 3, "n_tasks_left_out": 0}
    figures["ece_noise_floor"] = {"mean": 0.01, "quantile_95": 0.02}
    base = {"model": model, "style": "oe", "method": method, "split": split, "n": 96, "n_unscored": 0, "reason": ""}
    return {**base, **figures, **more}


def hole(model: str, method: str, split: str | None, reason: str = "out of memory", **more: Any) -> dict[str, Any]:
    """A row without figures."""
    nothing = dict.fromkeys((*FIGURES, "within_task_auroc", "ece_noise_floor"))
    return {**row(model, method, ""), **nothing, "n": 0, "split": split, "reason": reason, **more}


def report_of(summary: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A report with the curves, tasks, histories and temperatures that belong to the rows."""
    full = [each for each in summary if each["n"]]
    names = [
        {name: each[name] for name in ("model", "style", "method", "split", "run") if name in each} for each in full
    ]
    bins = {"count": [0, 48, 48], "mean_confidence": [None, 0.2, 0.7], "accuracy": [None, 0.25, 0.5]}
    combos = list({(name["model"], name.get("run")): name for name in names}.values())
    history = [{"step": step, "val_nll": 0.6 - step / 1000} for step in (0, 50)]
    return {
        "title": "many",
        "summary": summary,
        "reliability": [name | bins for name in names],
        "risk_coverage": [name | {"coverage": [0.5, 1.0], "risk": [0.1, 0.3]} for name in names],
        "tasks": [name | {"task": "sum", "n": 9, "accuracy": 0.5, "auroc": {name["method"]: 0.7}} for name in names],
        "training": [name | {"best_step": 50, "history": history} for name in combos],
        "temperatures": [
            name | {"temperature": 1.5, "n": 64, "nll_before": 0.6, "nll_after": 0.5}
            for name in names
            if "+" in name["method"]
        ],
        **more,
    }
