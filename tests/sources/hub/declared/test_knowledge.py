from collections import Counter
from typing import Any

import pytest

from raycalib.sources.hub import MMLU_PRO_CATEGORIES, MMLU_TASKS, hub_source, read_split, render
from raycalib.sources.hub.declared.knowledge import TREC_CATEGORIES
from tests.sources.hub.conftest import SEED, Check

TREC_ROWS: list[dict[str, Any]] = [
    {"text": "How deep is the lake ?", "coarse_label": 5},
    {"text": "Who built the mill ?", "coarse_label": 3},
    {"text": "What is AC short for ?", "coarse_label": 0},
]
TRUTHFUL_ROWS: list[dict[str, Any]] = [
    {"question": question, "mc1_targets": {"choices": choices, "labels": [1, *[0] * (len(choices) - 1)]}}
    for question, choices in (
        ("Do bats see?", ["Yes, they do", "No", "Only at noon", "They have no eyes"]),
        ("Is glass a liquid?", ["No, it is a solid", "Yes", "In old windows"]),
        ("Do bulls hate red?", ["No, they hardly see it", "Yes"]),
    )
]
MMLU_ROWS: list[dict[str, Any]] = [
    {"question": "Which planet has rings?", "choices": ["Mars", "Saturn", "Venus", "Mercury"], "answer": 1},
    {"question": "What is a nova?", "choices": ["a star", "a moon", "a comet", "a rock"], "answer": 0},
    {"question": "Which is farthest?", "choices": ["Earth", "Venus", "Mars", "Neptune"], "answer": 3},
]
PRO_ROWS: list[dict[str, Any]] = [
    {"question": f"Law {n}?", "options": [f"rule {i}" for i in range(10)], "answer_index": n, "category": "law"}
    for n in (9, 0, 4)
]


def test_trec(check_source: Check) -> None:
    check_source(
        "trec",
        TREC_ROWS,
        choice="Question:\nHow deep is the lake ?\n\nChoices:\n  (a): Abbreviation\n  (b): Entity\n"
        "  (c): Description and abstract concept\n  (d): Human being\n  (e): Location\n  (f): Numeric value\nAnswer:",
        choice_targets="fda",
        oe="Read the following question and then pick a category that describes the question.\n"
        "Question: How deep is the lake ?\nWhat category is the question in? Choose one from Abbreviation, Entity, "
        "Description and abstract concept, Human being, Location, Numeric value. "
        "Respond with only the category and no additional text.\nAnswer:",
        oe_targets=[TREC_CATEGORIES[5], TREC_CATEGORIES[3], TREC_CATEGORIES[0]],
    )


def test_truthful_qa(check_source: Check) -> None:
    items = read_split(hub_source("truthful_qa"), TRUTHFUL_ROWS, seed=SEED).items
    listed = "\n".join(f"  ({letter}): {option}" for letter, option in zip("abcd", items[0].options, strict=True))
    check_source(
        "truthful_qa",
        TRUTHFUL_ROWS,
        choice=f"Question:\nDo bats see?\n\nChoices:\n{listed}\nAnswer:",
        choice_targets="".join("abcd"[item.answer or 0] for item in items),
        oe="Question: Do bats see?\nAnswer:",
        oe_targets=["Yes, they do", "No, it is a solid", "No, they hardly see it"],
    )


def test_truthful_qa_does_not_always_put_the_right_option_first() -> None:
    source = hub_source("truthful_qa")
    rows = [{**TRUTHFUL_ROWS[0], "question": f"Do bats see {number} stars?"} for number in range(2000)]
    places = Counter(item.answer for item in read_split(source, rows, seed=SEED).items)
    assert all(420 <= places[place] <= 580 for place in range(4))  # 500 expected, standard deviation 19
    as_paper = read_split(source, rows, seed=SEED, paper_exact=True).items
    assert {render(source, item, "choice").target for item in as_paper} == {"a"}


def test_mmlu(check_source: Check) -> None:
    check_source(
        "mmlu:astronomy",
        MMLU_ROWS,
        choice="Question:\nWhich planet has rings?\n\n"
        "Choices:\n  (a): Mars\n  (b): Saturn\n  (c): Venus\n  (d): Mercury\nAnswer:",
        choice_targets="bad",
        oe="Question: Which planet has rings?\nAnswer:",
        oe_targets=["Saturn", "a star", "Neptune"],
    )
    source = hub_source("mmlu:astronomy")
    assert source.evaluation_only
    assert (source.config, source.shots_from, source.shots_in("test")) == ("astronomy", "dev", 5)


def test_mmlu_has_57_tasks_in_four_categories() -> None:
    assert Counter(MMLU_TASKS.values()) == {"STEM": 19, "Humanities": 13, "Social Sciences": 12, "Other": 13}


def test_mmlu_pro_counts_options_past_d(check_source: Check) -> None:
    listed = "".join(f"  ({letter}): rule {place}\n" for place, letter in enumerate("abcdefghij"))
    check_source(
        "mmlu_pro:law",
        PRO_ROWS,
        choice=f"Question:\nLaw 9?\n\nChoices:\n{listed}Answer:",
        choice_targets="jae",
        oe="Question: Law 9?\nAnswer:",
        oe_targets=["rule 9", "rule 0", "rule 4"],
    )
    assert len(MMLU_PRO_CATEGORIES) == 14


@pytest.mark.parametrize(
    ("name", "style", "intro"),
    [
        ("mmlu:us_foreign_policy", "choice", "multiple-choice questions (with answers) about Us foreign policy."),
        ("mmlu:us_foreign_policy", "oe", "questions (with answers) about Us foreign policy."),
        ("mmlu_pro:computer_science", "oe", "questions (with answers) about Computer science."),
    ],
)
def test_headers_name_the_subject(name: str, style: str, intro: str) -> None:
    assert hub_source(name).words(style).intro == f"The following are {intro}"


def test_rows_of_other_categories_are_counted_apart() -> None:
    rows = [*PRO_ROWS, {**PRO_ROWS[0], "category": "math"}, {**PRO_ROWS[0], "category": None}]
    read = read_split(hub_source("mmlu_pro:law"), rows, seed=SEED)
    assert (len(read.items), read.n_other_category, read.n_rows) == (3, 1, 5)
    assert [(refusal.row, refusal.reason) for refusal in read.refusals] == [(4, "'category' is null")]
