"""The table of trials at work: what fits a terminal, and what never steers it."""

from collections.abc import Mapping

import pytest
from rich.cells import cell_len

from raycalib.stages.lines.beats import Doing
from raycalib.stages.lines.trial_table import TrialRow, TrialsSummary, table_lines

COUNTS = {"at work": 3, "finished": 5, "failed": 0, "waiting": 12, "stopped": 1}
LAST = (
    "  3 at work, 5 finished, 12 waiting, 1 stopped · 13 min, about 3 h 05 min left · least val NLL 0.5125, "
    "llama2:7b/oe kl_decay=1 steps=400"
)


def summary(counts: Mapping[str, int] = COUNTS, best: float | None = 0.5125) -> TrialsSummary:
    where = "" if best is None else "llama2:7b/oe kl_decay=1 steps=400"
    return TrialsSummary(counts=counts, best_nll=best, best_where=where, elapsed_s=754, left_s=best and 11100)


def rows() -> list[TrialRow]:
    going = Doing(
        at="step 120/400", step=120, steps=400, loss=1.25, val_nll=0.6, best_nll=0.5, tokens_per_s=12345.6, left_s=42
    )
    return [
        TrialRow("c0ffee11aa22", "llama2:7b/oe", "kl_decay=0.5 steps=400", going),
        TrialRow("d0ffee11aa22", "mistral:7b/choice", "kl_decay=1 steps=400", Doing(at="loading the model")),
        TrialRow("e0ffee11aa22", "m/oe", "lr=1e-3", None),
    ]


def test_a_row_of_each_and_a_last_line_of_all() -> None:
    assert table_lines(rows(), summary(), 120, 20) == [
        "  trial     combo              title                                step   loss  val NLL  tokens/s  left",
        "  c0ffee11  llama2:7b/oe       kl_decay=0.5 steps=400            120/400  1.250   0.6000    12,346  42 s",
        "  d0ffee11  mistral:7b/choice  kl_decay=1 steps=400    loading the model",
        "  e0ffee11  m/oe               lr=1e-3                            starts",
        LAST,
    ]
    assert table_lines([], summary({"at work": 0}, None), 120, 20)[-1] == "  no trials · 13 min"


@pytest.mark.parametrize(
    ("columns", "head"),
    [
        (100, ["trial", "combo", "title", "step", "loss", "val", "NLL", "tokens/s", "left"]),
        (85, ["trial", "combo", "title", "step", "val", "NLL", "left"]),
        (70, ["trial", "title", "step", "val", "NLL"]),
        (50, ["trial", "title", "step"]),
        (29, ["trial", "step"]),
        (5, ["trial", "step"]),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_cut_titles(columns: int, head: list[str]) -> None:
    lines = table_lines(rows(), summary(), columns, 20)
    assert lines[0].split() == head
    assert [line.split()[0] for line in lines[1:4]] == ["c0ffee11", "d0ffee11", "e0ffee11"]
    if columns > 28:
        assert max(cell_len(line) for line in lines[:4]) <= columns


def test_a_title_takes_what_is_left_of_the_width() -> None:
    lines = table_lines(rows(), summary(), 100, 20)
    assert "kl_decay=0.5 step…" in lines[1]


def test_of_more_than_a_terminal_holds_the_newest_are_shown() -> None:
    many = [TrialRow(f"{number:08d}", "m/oe", "t", None) for number in range(20)]
    for n_lines in range(12):
        lines = table_lines(many, summary(), 80, n_lines)
        assert len(lines) == (1 if n_lines == 2 else n_lines), "a head alone says nothing"
        if n_lines:
            assert lines[-1] == LAST
        if n_lines > 2:
            assert lines[-2] == f"  … {20 - (n_lines - 3)} more"
            assert [line.split()[0] for line in lines[1:-2]] == [f"{n:08d}" for n in range(20 - (n_lines - 3), 20)]
    assert len(table_lines(many, summary(), 80, 40)) == 22


def test_names_never_steer_a_terminal_and_are_no_markup() -> None:
    row = TrialRow("c0ffee11", "[bold]m\x1b[2J/oe", "a\nb\u202e", Doing(at="[red]x\r"))
    lines = table_lines([row], summary(), 200, 20)
    assert len(lines) == 3
    assert "[bold]m\\x1b[2J/oe  a\\nb\\u202e  [red]x\\r" in lines[1]


def test_wide_letters_are_counted_as_they_are_shown() -> None:
    row = TrialRow("c0ffee11", "日本語のモデル/oe", "kl_decay=0.5 日本語のモデル", Doing(at="step", step=1, steps=2))
    for columns in range(30, 80):
        lines = table_lines([row], summary(), columns, 20)
        assert max(cell_len(line) for line in lines[:2]) <= columns
