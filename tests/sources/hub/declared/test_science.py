from typing import Any

import pytest

from raycalib.sources.hub import hub_source, read_split
from tests.sources.hub.conftest import SEED, Check

LETTERS = {"text": ["copper", "rubber", "glass"], "label": ["A", "B", "C"]}
DIGITS = {"text": ["winter", "spring", "summer", "autumn"], "label": ["1", "2", "3", "4"]}
ARC_ROWS: list[dict[str, Any]] = [
    {"question": "Which one conducts electricity?", "choices": LETTERS, "answerKey": "A"},
    {"question": "When do swallows leave for the south?", "choices": DIGITS, "answerKey": "4"},
    {"question": "Which one stretches most?", "choices": LETTERS, "answerKey": "B"},
]
OBQA_ROWS = [{**row, "question_stem": row["question"]} for row in ARC_ROWS]
SCIQ_ROWS: list[dict[str, Any]] = [
    {
        "question": "Which organ filters blood?",
        "support": "The kidneys filter blood.",
        "correct_answer": "the kidney",
        "distractor1": "the heart",
        "distractor2": "the lung",
        "distractor3": "the skin",
    },
    {
        "question": "What is sodium chloride?",
        "support": "",
        "correct_answer": "salt",
        "distractor1": "soda",
        "distractor2": "lime",
        "distractor3": "sugar",
    },
    {
        "question": "What do roots take up?",
        "support": "Roots take up water.",
        "correct_answer": "water",
        "distractor1": "light",
        "distractor2": "sound",
        "distractor3": "wind",
    },
]


@pytest.mark.parametrize("name", ["arc", "arc_challenge"])
def test_arc(name: str, check_source: Check) -> None:
    check_source(
        name,
        ARC_ROWS,
        choice="Question:\nWhich one conducts electricity?\n\n"
        "Choices:\n  (a): copper\n  (b): rubber\n  (c): glass\nAnswer:",
        choice_targets="adb",
        oe="The question is: Which one conducts electricity?\nAnswer:",
        oe_targets=["copper", "autumn", "rubber"],
    )


def test_obqa(check_source: Check) -> None:
    check_source(
        "obqa",
        OBQA_ROWS,
        choice="Question:\nWhich one conducts electricity?\n\n"
        "Choices:\n  (a): copper\n  (b): rubber\n  (c): glass\nAnswer:",
        choice_targets="adb",
        oe="Provide your best answer for the following question.\nQuestion: Which one conducts electricity?\nAnswer:",
        oe_targets=["copper", "autumn", "rubber"],
    )


def test_sciq_open_ended_with_and_without_support(check_source: Check) -> None:
    items = read_split(hub_source("sciq"), SCIQ_ROWS, seed=SEED).items
    listed = "\n".join(f"  ({letter}): {option}" for letter, option in zip("abcd", items[0].options, strict=True))
    check_source(
        "sciq",
        SCIQ_ROWS,
        choice="Support:\nThe kidneys filter blood.\n\nQuestion:\nWhich organ filters blood?\n\n"
        f"Choices:\n{listed}\nAnswer:",
        choice_targets="".join("abcd"[item.answer or 0] for item in items),
        oe="Read the following and answer the question.\nThe kidneys filter blood.\n"
        "Question: Which organ filters blood?\nAnswer:",
        oe_targets=["the kidney", "salt", "water"],
    )
    assert items[1].texts["support_section"] == items[1].texts["support_line"] == ""


def test_sciq_orders_the_options_by_seed_and_position() -> None:
    """numpy.random.default_rng(137).permutation(4) is 3, 2, 1, 0 and default_rng(138).permutation(4) 3, 2, 0, 1."""
    first, second, _ = read_split(hub_source("sciq"), SCIQ_ROWS, seed=137).items
    assert first.options == ("the kidney", "the skin", "the lung", "the heart")
    assert second.options == ("salt", "sugar", "soda", "lime")
    assert (first.answer, second.answer) == (0, 0)
