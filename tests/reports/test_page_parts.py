from typing import Any

from raycalib.reports.page_parts import (
    TABLE_METRICS,
    headlines,
    number_cell,
    splits_in,
    summary_rows,
    task_methods,
)


def _row(model: str, method: str, ece: float | None) -> dict[str, Any]:
    return {"model": model, "style": "oe", "method": method, "split": "test", "ece": {"value": ece}}


def test_headlines_are_means_over_the_same_combos() -> None:
    summary = [
        _row("a", "lora_prompt+temperature", 0.02),
        _row("b", "lora_prompt+temperature", 0.04),
        _row("c", "lora_prompt+temperature", 0.9),
        _row("a", "zero_shot_query", 0.2),
        _row("b", "zero_shot_query", 0.3),
        _row("c", "zero_shot_query", None),
    ]
    ece = headlines(summary, "test")[0]
    assert ece.n_combos == 2
    expected = [("LoRA + Prompt + temperature", "0.030"), ("zero-shot query", "0.250"), ("family rate", "–")]
    assert ece.values == expected
    assert headlines(summary, "test")[1].n_combos == 0


def test_directions(report: dict[str, Any]) -> None:
    directions = {card.title: card.direction.split()[0] for card in headlines(report["summary"], "test")}
    assert directions == {
        "ECE": "lower",
        "AUROC": "higher",
        "AUROC within tasks": "higher",
        "Brier score": "lower",
    }


def test_best_of_each_combo_is_marked(report: dict[str, Any]) -> None:
    lines = summary_rows(report["summary"], "test")
    ece = list(TABLE_METRICS).index("ece")
    assert [row["method"] for row, cells in lines if cells[ece].best] == ["lora_prompt+temperature"] * 4
    accuracy = list(TABLE_METRICS).index("accuracy")
    assert not any(cells[accuracy].best for _, cells in lines)


def test_known_splits_come_first() -> None:
    rows = [{"split": split} for split in ("mine", "heldout_families", "test")]
    assert splits_in(rows) == ["test", "heldout_families", "mine"]


def test_undefined_cells_sort_last() -> None:
    assert number_cell(None).sort is None
    assert number_cell(float("nan")).text == "–"


def test_methods_of_tasks_are_the_union_in_order() -> None:
    assert task_methods([{"auroc": {"probe": 0.5}}, {"auroc": {"zero_shot_query": None}}]) == [
        "zero_shot_query",
        "probe",
    ]
