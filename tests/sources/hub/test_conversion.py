from typing import Any

import pytest

from raycalib.sources.hub import Item, Refusal, convert_row, hub_source, read_split

PIQA_ROW: dict[str, Any] = {"goal": "Dry wet boots", "sol1": "stuff them with paper", "sol2": "eat them", "label": 0}
SIQA_ROW: dict[str, Any] = {
    "context": "Noa fed the swans.",
    "question": "What next?",
    "answerA": "they eat",
    "answerB": "they vote",
    "answerC": "they melt",
    "label": "1",
}


def refused(name: str, row: Any, paper_exact: bool = False) -> str | None:
    found = convert_row(hub_source(name), row, 0, seed=1, paper_exact=paper_exact)
    return found.reason if isinstance(found, Refusal) else None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": -1}, "'label' is -1: the row has no label"),
        ({"label": 2}, "'label' is 2; the options are numbered 0 to 1"),
        ({"goal": None}, "'goal' is null"),
        ({"goal": " \n"}, "'goal' is empty"),
        ({"goal": 5}, "'goal' must be a text, not 5"),
        ({"goal": "a\0b"}, "'goal' holds a NUL character"),
        ({"goal": "\ud800"}, "'goal' is not valid UTF-8"),
        ({"sol1": ""}, "option (a) is empty"),
        ({"sol2": "stuff them with paper "}, "options (a) and (b) are equal"),
    ],
)
def test_refusals_name_what_is_wrong(change: dict[str, Any], reason: str) -> None:
    assert refused("piqa", PIQA_ROW) is None
    assert refused("piqa", {**PIQA_ROW, **change}) == reason


@pytest.mark.parametrize("column", PIQA_ROW)
def test_a_missing_column_is_named(column: str) -> None:
    row = {name: value for name, value in PIQA_ROW.items() if name != column}
    assert refused("piqa", row) == f"column {column!r} is missing"


@pytest.mark.parametrize("row", [None, "row", 7, []])
def test_a_row_that_is_no_mapping_is_refused(row: Any) -> None:
    for name in ("piqa", "gsm8k", "mmlu_pro:law", "sciq"):
        assert "is missing" in (refused(name, row) or "")


@pytest.mark.parametrize("count", [0, 1, 27])
def test_too_few_and_too_many_options(count: int) -> None:
    row = {"question": "Which?", "choices": [f"option {place}" for place in range(count)], "answer": 0}
    assert (refused("mmlu:anatomy", row) or "").startswith(f"has {count} options; ")


def test_the_paper_lets_pass_what_it_does_not_check() -> None:
    repeated = {**PIQA_ROW, "sol2": PIQA_ROW["sol1"]}
    assert refused("piqa", repeated) == "options (a) and (b) are equal"
    assert refused("piqa", repeated, paper_exact=True) is None
    assert refused("piqa", {**PIQA_ROW, "sol1": ""}, paper_exact=True) is None
    assert refused("siqa", {**SIQA_ROW, "answerB": "they eat"}, paper_exact=True) == "two options are equal"
    assert refused("piqa", {**PIQA_ROW, "label": -1}, paper_exact=True) == "'label' is -1: the row has no label"


def test_positions_count_the_usable_rows_and_refusals_the_hubs() -> None:
    rows = [PIQA_ROW, {**PIQA_ROW, "label": -1}, {**PIQA_ROW, "goal": "Warm up tea"}, {**PIQA_ROW, "goal": ""}]
    read = read_split(hub_source("piqa"), rows, seed=1)
    assert [item.position for item in read.items] == [0, 1]
    assert [refusal.row for refusal in read.refusals] == [1, 3]
    assert [(refusal.field, refusal.expected) for refusal in read.refusals] == [("label", True), ("goal", False)]
    assert "'Dry wet boots'" in read.refusals[0].content
    assert len(read.items) + len(read.refusals) + read.n_other_category == read.n_rows == 4


def test_shuffled_options_keep_their_right_answer() -> None:
    row = {
        "question": "What glows?",
        "support": "",
        "correct_answer": "lava",
        "distractor1": "mud",
        "distractor2": "fog",
        "distractor3": "ash",
    }
    orders = set()
    for position in range(40):
        item = convert_row(hub_source("sciq"), row, position, seed=3)
        assert isinstance(item, Item)
        assert item.answer is not None
        assert item.options[item.answer] == "lava"
        orders.add(item.options)
    assert len(orders) > 10
