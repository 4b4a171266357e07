"""Figures that are missing or say nothing: a reason below the table and on the page, and no star."""

from io import StringIO
from typing import Any

from rich.console import Console

from raycalib.reports import baseline_remarks, print_summary, reason_lines, render_page
from raycalib.reports.figures import best_text, is_degenerate
from raycalib.reports.page_parts import headlines, summary_rows, task_cell

NOTHING = {"value": None, "low": None, "high": None}
HOLE = "not fitted: T ended at its lower bound (0.0025): the margins separate all 64 calibration rows"
ONE_CLASS = "all 96 labels are 0"


def row(method: str, ece: float | None, *, split: str = "test", n: int = 96, reason: str = "") -> dict[str, Any]:
    accuracy = None if not n else 0.0 if reason == ONE_CLASS else 0.5
    value = {"value": ece, "low": ece, "high": ece}
    return {
        "model": "m", "style": "oe", "method": method, "split": split, "n": n, "n_unscored": 96 - n, "reason": reason,
        "accuracy": {"value": accuracy, "low": accuracy, "high": accuracy}, "ece": value, "brier": value, "nll": value,
        "auroc": NOTHING if reason else value, "aurc": value, "within_task_auroc": {"value": None, "n_tasks": 0},
        "ece_noise_floor": {"mean": 0.01, "quantile_95": 0.02},
    }  # fmt: skip


def with_a_hole() -> list[dict[str, Any]]:
    rows = [row(method, ece) for method, ece in (("zero_shot_query", 0.2), ("probe", 0.1))]
    return [*rows, row("probe+temperature", None, n=0, reason=HOLE)]


def one_class() -> list[dict[str, Any]]:
    methods = ("zero_shot_query", "lora_prompt", "lora_prompt+temperature")
    return [row(method, ece, reason=ONE_CLASS) for method, ece in zip(methods, (0.1, 0.2, 0.3), strict=True)]


def printed(summary: list[dict[str, Any]]) -> str:
    out = StringIO()
    print_summary(summary, Console(file=out, width=120, color_system=None))
    return out.getvalue()


def test_a_hole_is_named_with_its_reason_once_for_all_its_splits() -> None:
    summary = with_a_hole() + [row | {"split": "heldout_families"} for row in with_a_hole()]
    assert reason_lines(summary) == [f"m oe, probe + temperature: {HOLE}."]
    assert reason_lines(summary[:4] + summary[5:]) == [f"m oe, probe + temperature: {HOLE}."]


def test_one_class_is_said_once_for_all_methods_of_its_split() -> None:
    summary = [*one_class(), row("zero_shot_query", 0.2, split="heldout_families")]
    assert reason_lines(summary) == [f"m oe, test: {ONE_CLASS}."]
    assert reason_lines(one_class()) == [f"m oe: {ONE_CLASS}."]


def test_reasons_from_data_steer_no_terminal() -> None:
    assert reason_lines([row("probe", None, n=0, reason="\x1b[2J")]) == [r"m oe, probe: \x1b[2J."]


def test_figures_of_one_class_are_never_best_nor_remarked_on() -> None:
    rows = one_class()
    assert all(map(is_degenerate, rows))
    assert best_text(rows, "ece") is None
    assert baseline_remarks(rows) == []
    assert baseline_remarks([row | {"reason": "", "accuracy": {"value": 0.5}} for row in rows]) != []
    assert all(not cell.best for _, cells in summary_rows(rows, "test") for cell in cells)
    assert "*" not in printed(rows).replace("* best", "")
    assert {card.n_combos for card in headlines(rows, "test")} == {0}


def test_a_degenerate_row_that_prints_like_the_best_has_no_star() -> None:
    rows = [*with_a_hole()[:2], row("lora_prompt", 0.1, reason=ONE_CLASS)]
    text = printed(rows)
    assert text.count("0.100 [0.100, 0.100]*") == 1
    marked = [(line["method"], any(cell.best for cell in cells)) for line, cells in summary_rows(rows, "test")]
    assert marked == [("zero_shot_query", True), ("lora_prompt", False), ("probe", True)]


def test_the_table_says_why_below_it() -> None:
    text = printed(with_a_hole())
    assert f"m oe, probe + temperature: {HOLE[:40]}" in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_page_says_why_below_the_method() -> None:
    hole = {"model": "m", "style": "oe", "method": "probe", "n": 64, "reason": HOLE}
    temperatures = [hole | dict.fromkeys(("temperature", "nll_before", "nll_after"))]
    page = render_page({"title": "t", "summary": with_a_hole(), "temperatures": temperatures})
    assert page.count(f'<small class="reason">{HOLE}</small>') == 2
    assert '<td class="num">64</td>' in page


def test_a_tasks_auroc_of_fewer_rows_says_so() -> None:
    task = {"n": 12, "auroc": {"probe": 0.75, "lora": 0.5}, "n_of": {"probe": 9, "lora": 12}}
    assert [task_cell(task, method).small for method in ("probe", "lora", "absent")] == ["of 9", "", ""]
    assert task_cell(task, "probe").text == "0.750"
