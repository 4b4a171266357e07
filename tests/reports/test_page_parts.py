from typing import Any

from raycalib.reports.page_parts import (
    TABLE_METRICS,
    headlines,
    number_cell,
    overview,
    summary_rows,
    task_methods,
    top_lines,
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


def _hole(model: str, method: str, reason: str = "out of memory") -> dict[str, Any]:
    return _row(model, method, None) | {"n": 0, "reason": reason}


def test_headlines_compare_alike_and_fall_back_on_what_was_given() -> None:
    methods = ("adapter a+temperature", "adapter a", "zero_shot_query", "zero_shot_query+temperature")
    summary = [_row("m", method, 0.1 * index) | {"auroc": {"value": 0.7}} for index, method in enumerate(methods)]
    ece, auroc = headlines(summary, "test")[:2]
    names = ["adapter a + temperature", "zero-shot query", "zero-shot query + temperature", "family rate"]
    assert [name for name, _ in ece.values] == names
    assert [name for name, _ in auroc.values] == [names[0], "zero-shot query", "family rate"]


def test_all_methods_missing_for_one_reason_have_one_row() -> None:
    rows = [_hole("m", "probe"), _hole("m", "lora"), _row("other", "probe", 0.1)]
    assert [row["method"] for row, _ in summary_rows(rows, "test")] == ["every method", "probe"]
    rows[0] |= {"reason": "not fitted"}
    assert [row["method"] for row, _ in summary_rows(rows, "test")] == ["lora", "probe", "probe"]


def test_what_failed_as_a_whole_is_said_once_at_the_top() -> None:
    hole = {"model": "m", "style": "oe", "method": "", "reason": "out of memory"}
    rows = [_hole("m", "probe"), _row("other", "probe", 0.1), _hole("other", "lora")]
    assert top_lines(rows, []) == ["m oe, probe: out of memory."]
    assert top_lines(rows, [hole]) == ["m oe, probe: out of memory."]
    assert top_lines(rows[1:], [hole]) == ["m oe: out of memory."]
    assert top_lines([], [hole | {"method": "lora", "split": "mmlu"}]) == ["m oe, mmlu, LoRA: out of memory."]


def test_the_overview_has_every_set_and_combo() -> None:
    rows = [_row("m", "probe", 0.1), _row("n", "probe", 0.2) | {"split": "mmlu"}]
    found = overview(rows)
    assert (found.method, [str(combo) for combo in found.combos]) == ("probe", ["m oe", "n oe"])
    cells = [(split, [cell.text for cell in cells]) for split, cells in found.lines]
    assert cells == [("test", ["0.100", "–"]), ("mmlu", ["–", "0.200"])]


def test_a_temperature_has_no_column_of_its_own_among_the_tasks() -> None:
    rows = [{"auroc": {"probe": 0.5, "probe+temperature": 0.5}}, {"auroc": {"lora+temperature": 0.5}}]
    assert task_methods(rows) == ["lora+temperature", "probe"]


def test_undefined_cells_sort_last() -> None:
    assert number_cell(None).sort is None
    assert number_cell(float("nan")).text == "–"


def test_methods_of_tasks_are_the_union_in_order() -> None:
    assert task_methods([{"auroc": {"probe": 0.5}}, {"auroc": {"zero_shot_query": None}}]) == [
        "zero_shot_query",
        "probe",
    ]
