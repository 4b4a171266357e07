import io
from typing import Any

import pytest
from rich.console import Console

from raycalib.reports import print_summary, summary_table


def _printed(summary: list[dict[str, Any]], **options: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120, **options).print(summary_table(summary))
    return stream.getvalue()


def test_fits_120_columns_with_whole_figures(report: dict[str, Any]) -> None:
    lines = _printed(report["summary"]).splitlines()
    assert max(map(len, lines)) <= 120
    assert not any("…" in line for line in lines)
    assert sum("LoRA + Prompt + temp." in line for line in lines) == 8


def test_log_file_has_no_escape_codes(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    print_summary([row for row in report["summary"] if row["model"] == "llama2:7b" and row["style"] == "oe"])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "0.409 [0.388, 0.432]" in printed


def test_what_is_longer_than_a_screen_is_shortened(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(report["summary"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 30
    assert not any("[" in line for line in lines)
    assert sum(line.startswith("LoRA + Prompt + temp.") for line in lines) == 2


def test_best_is_starred_and_bold(report: dict[str, Any]) -> None:
    rows = [row for row in report["summary"] if row["model"] == "llama2:7b" and row["style"] == "oe"]
    starred = [line for line in _printed(rows).splitlines() if "]*" in line]
    assert [line.count("]*") for line in starred] == [1, 2, 1, 2]
    assert "\x1b[1m" in _printed(rows, force_terminal=True, color_system="standard")


def test_one_table_per_split_in_plain_words(report: dict[str, Any]) -> None:
    printed = _printed(report["summary"])
    assert printed.index("Test: new questions") < printed.index("Held-out families:")
    assert "fresh" not in printed


def test_a_run_without_test_rows_prints_held_out_families(heldout_report: dict[str, Any]) -> None:
    printed = _printed(heldout_report["summary"])
    assert printed.count("Held-out families:") == 1
    assert "Test:" not in printed
    assert sum("[" in line and "%" not in line for line in printed.splitlines()) == 7  # one line per method


def test_undefined_is_a_dash(report: dict[str, Any]) -> None:
    heldout = _printed([row for row in report["summary"] if row["split"] == "heldout_families"])
    assert sum("family rate" in line and " – " in line for line in heldout.splitlines()) == 4


def test_model_names_are_not_markup(report: dict[str, Any]) -> None:
    rows = [row | {"model": "[red]x[/red]"} for row in report["summary"][:7]]
    assert "[red]x[/red]" in _printed(rows)


def test_model_names_do_not_steer_the_terminal(report: dict[str, Any]) -> None:
    printed = _printed([row | {"model": "m\x1b[2J\u202e"} for row in report["summary"][:7]])
    assert not set(printed) & set("\x1b\u202e")
    assert r"m\x1b[2J\u202e" in printed


def test_empty_summary_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary([])
    assert "No figures" in capsys.readouterr().out
