from typing import Any

import pytest

from raycalib.reports.figures import (
    Combo,
    best_text,
    combos,
    figure,
    figure_text,
    filled_bins,
    is_hole,
    select,
    without_repeats,
)


def _row(method: str, value: float | None, **interval: float | None) -> dict[str, Any]:
    return {
        "model": "m",
        "style": "oe",
        "method": method,
        "split": "test",
        "ece": {"value": value, **interval},
    }


def test_figure_with_its_interval() -> None:
    assert figure_text(_row("probe", 0.8124, low=0.79, high=0.8333), "ece") == "0.812 [0.790, 0.833]"


@pytest.mark.parametrize("undefined", [None, float("nan"), float("inf")])
def test_undefined_is_a_dash_never_zero(undefined: float | None) -> None:
    assert figure_text(_row("probe", undefined, low=None, high=None), "ece") == "–"


def test_value_without_an_interval() -> None:
    assert figure_text(_row("probe", 0.0), "ece") == "0.000"


def test_metric_that_a_row_does_not_have() -> None:
    assert figure(_row("probe", 0.1), "auroc") is None


def test_best_is_lowest_for_ece() -> None:
    rows = [_row("probe", 0.20), _row("lora_prompt", 0.1), _row("family_rate", None)]
    assert best_text(rows, "ece") == "0.100"


def test_nothing_is_best_alone() -> None:
    assert best_text([_row("probe", 0.2), _row("lora_prompt", None)], "ece") is None


def test_a_metric_without_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="accuracy"):
        best_text([], "accuracy")


def test_select_orders_methods_and_keeps_the_combo() -> None:
    other = _row("probe", 0.1) | {"model": "other"}
    rows = [_row("probe", 0.1), other, _row("zero_shot_query", 0.2)]
    methods = [row["method"] for row in select(rows, Combo("m", "oe"), "test")]
    assert methods == ["zero_shot_query", "probe"]
    assert combos(rows) == [Combo("m", "oe"), Combo("other", "oe")]


def test_empty_bins_are_left_out() -> None:
    row = {"count": [0, 4], "mean_confidence": [None, 0.7], "accuracy": [None, 0.5]}
    assert filled_bins(row) == [(4, 0.7, 0.5)]


def test_empty_bins_of_a_hole_are_none() -> None:
    assert filled_bins({"method": "probe"}) == []
    assert filled_bins({"count": None, "mean_confidence": None, "accuracy": None}) == []


def test_a_run_tells_combos_apart_and_is_named() -> None:
    rows = [_row("probe", 0.1), _row("probe", 0.1) | {"run": "seed2"}]
    assert [str(combo) for combo in combos(rows)] == ["m oe", "seed2: m oe"]
    assert select(rows, Combo("m", "oe", "seed2")) == [rows[1]]
    assert select(rows, Combo("m", "oe")) == [rows[0]]


def test_a_temperature_repeats_only_what_is_there() -> None:
    rows = [_row("probe", 0.1), _row("probe+temperature", 0.1), _row("lora+given temperature", 0.1)]
    assert without_repeats(rows) == [rows[0], rows[2]]


def test_a_hole_has_neither_answers_nor_figures() -> None:
    assert is_hole({"n": 0, "ece": None, "reason": "out of memory"})
    assert is_hole({"n": 0, "ece": {"value": None}})
    assert not is_hole(_row("probe", 0.1))
    assert not is_hole({"n": 96, "ece": {"value": None}, "reason": "all 96 labels are 0"})
