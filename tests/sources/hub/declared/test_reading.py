from typing import Any

from tests.sources.hub.conftest import Check

BOOLQ_ROWS: list[dict[str, Any]] = [
    {"passage": "Cork floats.", "question": "does cork sink", "answer": False},
    {"passage": "Tin melts at 232 °C.", "question": "can tin melt", "answer": True},
    {"passage": "The canal is 80 km long.", "question": "is the canal 90 km long", "answer": False},
]
MULTIRC_ROWS: list[dict[str, Any]] = [
    {"paragraph": "Ida sold her boat.", "question": "What did Ida sell?", "answer": "A boat", "label": 1},
    {"paragraph": "Ida sold her boat.", "question": "What did Ida sell?", "answer": "A car", "label": 0},
    {"paragraph": "It hailed at noon.", "question": "When did it hail?", "answer": "At noon", "label": 1},
]
COSMOS_ROWS: list[dict[str, Any]] = [
    {
        "context": "My phone fell into the lake.",
        "question": "What may I buy?",
        "answer0": "A phone.",
        "answer1": "A lake.",
        "answer2": "A fish.",
        "answer3": "None of these.",
        "label": label,
    }
    for label in (0, 3, 2)
]
SIQA_ROWS: list[dict[str, Any]] = [
    {
        "context": "Lee missed the train.",
        "question": "What will Lee do?",
        "answerA": "wait",
        "answerB": "glow",
        "answerC": "hum",
        "label": label,
    }
    for label in ("1", "3", "2")
]


def test_boolq_always_puts_a_question_mark_in_oe(check_source: Check) -> None:
    check_source(
        "boolq",
        BOOLQ_ROWS,
        choice="Passage:\nCork floats.\n\nQuestion:\ndoes cork sink\n\nChoices:\n  (a): False\n  (b): True\nAnswer:",
        choice_targets="aba",
        oe="Read the following passage and answer the question. "
        'Respond with only "True" or "False" and no additional text.\n'
        "Passage: Cork floats.\nQuestion: does cork sink?\nAnswer:",
        oe_targets=["False", "True", "False"],
    )


def test_multirc(check_source: Check) -> None:
    check_source(
        "multirc",
        MULTIRC_ROWS,
        choice="Paragraph:\nIda sold her boat.\n\nQ: What did Ida sell?\n\nA: A boat\n\n"
        "Choices:\n  (a): No\n  (b): Yes\nAnswer:",
        choice_targets="bab",
        oe="Read the following paragraph along with the question and answer. Then, respond with whether the answer "
        'is correct. Respond with only "Yes" or "No" and no additional text.\n'
        "Passage: Ida sold her boat.\nQuestion: What did Ida sell?\nAnswer: A boat. Is the answer correct?\nResponse:",
        oe_targets=["Yes", "No", "Yes"],
    )


def test_cosmos_qa(check_source: Check) -> None:
    check_source(
        "cosmos_qa",
        COSMOS_ROWS,
        choice="Context:\nMy phone fell into the lake.\n\nQuestion:\nWhat may I buy?\n\n"
        "Choices:\n  (a): A phone.\n  (b): A lake.\n  (c): A fish.\n  (d): None of these.\nAnswer:",
        choice_targets="adc",
        oe="Read the following paragraph and answer the question.\nParagraph: My phone fell into the lake.\n"
        "Question: What may I buy?\nAnswer:",
        oe_targets=["A phone.", "None of these.", "A fish."],
    )


def test_siqa_counts_from_one(check_source: Check) -> None:
    check_source(
        "siqa",
        SIQA_ROWS,
        choice="Context:\nLee missed the train.\n\nQuestion:\nWhat will Lee do?\n\n"
        "Choices:\n  (a): wait\n  (b): glow\n  (c): hum\nAnswer:",
        choice_targets="acb",
        oe="Read the following paragraph and answer the question.\nParagraph: Lee missed the train.\n"
        "Question: What will Lee do?\nAnswer:",
        oe_targets=["wait", "hum", "glow"],
    )
