from typing import Any

from tests.sources.hub.conftest import Check

WINOGRANDE_ROWS: list[dict[str, Any]] = [
    {"sentence": "The cup broke the plate since the _ was iron.", "option1": "cup", "option2": "plate", "answer": "1"},
    {"sentence": "Kim paid Lou because _ had worked.", "option1": "Kim", "option2": "Lou", "answer": "2"},
    {"sentence": "_ was late, so Pat waited for Max.", "option1": "Pat", "option2": "Max", "answer": "2"},
]
WSC_ROWS: list[dict[str, Any]] = [
    {"text": "The fox ran from the dog as it barked.", "options": ["the fox", "the dog"], "label": 1},
    {"text": "Mia fed the cat since it was hungry.", "options": ["Mia", "the cat"], "label": 1},
    {"text": "Tom hit Jim as he was angry.", "options": ["Tom", "Jim"], "label": 0},
]


def test_winogrande_fills_the_blank_in_oe(check_source: Check) -> None:
    check_source(
        "winogrande",
        WINOGRANDE_ROWS,
        choice="Sentence:\nThe cup broke the plate since the _ was iron.\n\n"
        "Choices:\n  (a): cup\n  (b): plate\nAnswer:",
        choice_targets="abb",
        oe='Fill in the blank "_" in the following sentence from the following choices. '
        'Respond with only "1" or "2" and no additional text.\n'
        "Sentence: The cup broke the plate since the _ was iron.\n"
        "  Choice 1: The cup broke the plate since the cup was iron.\n"
        "  Choice 2: The cup broke the plate since the plate was iron.\nAnswer:",
        oe_targets=["1", "2", "2"],
    )


def test_wsc(check_source: Check) -> None:
    check_source(
        "wsc",
        WSC_ROWS,
        choice="Sentence:\nThe fox ran from the dog as it barked.\n\nChoices:\n  (a): the fox\n  (b): the dog\nAnswer:",
        choice_targets="bba",
        oe="Read the following sentence, and resolve the ambiguity.\nThe fox ran from the dog as it barked.\nAnswer:",
        oe_targets=["the dog", "the cat", "Tom"],
    )
