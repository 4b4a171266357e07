import io
from typing import Any

from rich.console import Console

from raycalib.reports.short_table import short_tables


def _printed(summary: list[dict[str, Any]]) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=120).print(short_tables(summary))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def _row(style: str, method: str, ece: float | None, auroc: float | None, **more: Any) -> dict[str, Any]:
    base = {"model": "m", "style": style, "method": method, "split": "test", "n": 96, "accuracy": {"value": 0.4375}}
    return base | {"ece": {"value": ece}, "auroc": {"value": auroc}} | more


def test_methods_down_combos_across_with_the_best_marked() -> None:
    summary = [
        _row("oe", "zero_shot_query", 0.2164, 0.692),
        _row("oe", "probe", 0.0861, 0.9),
        _row("choice", "zero_shot_query", 0.1, None, n=94, n_unscored=2),
        _row("choice", "probe", 0.3, 0.75),
    ]
    assert _printed(summary) == [
        "Test: new questions of the kinds seen in tuning",
        "method           m oe            m choice",
        "─" * 48,
        "n                96              94 to 96",
        "unscored         0               0 to 2",
        "accuracy         0.438           0.438",
        "zero-shot query  0.216   0.692   0.100*  –",
        "probe            0.086*  0.900*  0.300   0.750",
        "ECE (lower is better) and AUROC (higher); * the best of a combo.",
    ]


def test_a_method_that_a_combo_lacks_is_a_dash() -> None:
    lines = _printed([_row("oe", "probe", 0.1, 0.9), _row("choice", "lora", 0.1, 0.9)])
    assert [line.split() for line in lines if line.startswith(("LoRA", "probe"))] == [
        ["LoRA", "0.100", "0.900", "–"],
        ["probe", "–", "0.100", "0.900"],
    ]


def test_the_papers_twelve_combos_fit_120_columns(report: dict[str, Any]) -> None:
    rows = [row | {"model": f"{row['model']}-{i}"} for i in range(3) for row in report["summary"]]
    lines = _printed(rows)
    assert max(map(len, lines)) <= 120
    assert sum(line.startswith("n ") for line in lines) == 4  # twelve combos in two parts, for two splits


def test_names_are_neither_markup_nor_steering() -> None:
    printed = "\n".join(_printed([_row("[red]x[/red]", "probe", 0.1, 0.9), _row("\x1b[2J", "probe", 0.1, 0.9)]))
    assert "[red]x[/red]" in printed
    assert "\x1b" not in printed


def test_labels_of_one_class_are_not_starred_though_they_print_the_best_figure() -> None:
    """Two of the rows tell something; a third, of which all answers were right, prints the best ECE by chance."""
    summary = [
        _row("oe", "zero_shot_query", 0.2, 0.7),
        _row("oe", "probe", 0.1, 0.9),
        _row("oe", "lora", 0.1, None, accuracy={"value": 1.0}),
        _row("oe", "lora_prompt", 0.1, None, reason="all labels are 1"),
    ]
    found = {line.split()[0]: line.split()[-2:] for line in _printed(summary) if "0.1" in line}
    assert found["probe"] == ["0.100*", "0.900*"]
    assert "0.100*" not in found["LoRA"]
    assert sum("0.100*" in line for line in _printed(summary)) == 1
