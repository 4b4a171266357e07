"""A deliberate difference is explained in the fields and rows that it is about, and in no others."""

import json
from typing import Any

import pytest

from raycalib.sources.hub import hub_source, read_split, render, render_split
from tests.golden.tally import Tally
from tests.golden.texts import PARSED, SHUFFLED, UNLABELLED, Case, compare_rows

SEED = 137
MATH = [
    {"Problem": "2 + 3 ?", "options": "a ) 4 , b ) 5 , c ) 6", "correct": "b"},
    {"Problem": "10 * 150 ?", "options": "a ) 1,500 , b ) 20 , c ) 30", "correct": "a"},
]
TRUTH = [
    {"question": f"Is it {n}?", "mc1_targets": {"choices": ["yes", "no", "maybe"], "labels": [1, 0, 0]}} for n in "abcd"
]
Rows = list[dict[str, Any]]


def golden_rows(name: str, style: str, rows: Rows, k: int) -> Rows:
    """What the paper's code makes of them."""
    items = read_split(hub_source(name), rows, seed=SEED, paper_exact=True).items
    shown = render_split(hub_source(name), items, style, k=k, pool=items, seed=SEED, paper_exact=True)
    return [
        {name: getattr(example, name) for name in ("context", "target_prompt", "target", "prompt")}
        | {"str": example.answered(example.target)}
        for example in shown
    ]


def compared(name: str, style: str, split: str, rows: Rows, golden: Rows, k: int = 0) -> Tally:
    tally = Tally()
    case = Case(hub_source(name), style, False, {split: rows}, SEED)
    compare_rows(case, "here", split, k, {"n": len(golden), "rows": golden}, tally)
    return tally


@pytest.mark.parametrize("k", [0, 1])
@pytest.mark.parametrize(
    ("name", "style", "split", "rows", "reason"),
    [
        ("math_qa", "choice", "train", MATH, PARSED),
        ("math_qa", "oe", "train", MATH, PARSED),
        ("truthful_qa", "choice", "validation", TRUTH, SHUFFLED),
    ],
)
def test_what_is_made_otherwise_on_purpose_is_explained(
    name: str, style: str, split: str, rows: Rows, reason: str, k: int
) -> None:
    tally = compared(name, style, split, rows, golden_rows(name, style, rows, k), k)
    assert tally.differences == []
    assert tally.explained[reason] > 0


@pytest.mark.parametrize(
    ("name", "style", "split", "rows", "index", "change", "field"),
    [
        ("math_qa", "choice", "train", MATH, 0, {"context": "Problem:\nother"}, "context"),  # no comma in its options
        ("math_qa", "choice", "train", MATH, 1, {"target": "b"}, "target"),  # parsing moves no letter
        ("math_qa", "oe", "train", MATH, 1, {"context": "other"}, "context"),
        ("math_qa", "oe", "train", MATH, 0, {"target": "6"}, "target"),
        ("math_qa", "choice", "train", MATH, 0, {"prompt": "other"}, "prompt"),  # no examples are asked for
        ("math_qa", "choice", "train", MATH, 1, {"target_prompt": "\nA:"}, "target_prompt"),
        (
            "math_qa",
            "choice",
            "train",
            MATH,
            1,
            {"context": "Problem:\nother\n\nChoices:\n  (a): 1"},
            "context without",
        ),
        ("truthful_qa", "oe", "validation", TRUTH, 0, {"target": "no"}, "target"),
        ("truthful_qa", "choice", "validation", TRUTH, 0, {"prompt": "other"}, "prompt"),
    ],
)
def test_anything_else_is_a_difference(
    name: str, style: str, split: str, rows: Rows, index: int, change: dict[str, str], field: str
) -> None:
    golden = golden_rows(name, style, rows, 0)
    golden[index] |= change
    tally = compared(name, style, split, rows, golden)
    assert [line.startswith(f"here/{index}/{field}") for line in tally.differences] == [True]


def test_the_whole_text_is_excused_only_with_one_of_its_parts() -> None:
    golden = golden_rows("math_qa", "choice", MATH, 0)
    for row in golden:
        row["str"] = "other"
    tally = compared("math_qa", "choice", "train", MATH, golden)
    assert [line.partition(":")[0] for line in tally.differences] == ["here/0/str"]


def test_refused_rows_are_explained_where_they_have_no_label_and_nowhere_else() -> None:
    choices = {"text": ["one", "two"], "label": ["A", "B"]}
    rows = [{"question": "?", "choices": choices, "answerKey": ""}]
    golden = golden_rows("commonsense_qa", "choice", rows, 0)
    assert len(golden) == 1
    assert compared("commonsense_qa", "choice", "test", rows, golden).explained == {UNLABELLED: 2}
    assert [
        line.partition(":")[0] for line in compared("commonsense_qa", "choice", "train", rows, golden).differences
    ] == [
        "here",
        "here/0",
    ]


def test_the_fixtures_are_what_they_say() -> None:
    (first, second) = read_split(hub_source("math_qa"), MATH, seed=SEED, paper_exact=True).items
    assert first.options == ("4", "5", "6")
    assert second.options == ("1", "500", "20", "30")
    shuffled = read_split(hub_source("truthful_qa"), TRUTH, seed=SEED).items
    assert {item.answer for item in shuffled} != {0}
    assert json.dumps(render(hub_source("math_qa"), second, "oe").target) == '"1"'
