from typing import Any

import pytest

from raycalib.sources.hub import hub_source
from tests.sources.hub.conftest import Check

ROWS: list[dict[str, Any]] = [
    {"premise": "A violinist tunes her violin.", "hypothesis": "A woman holds a violin.", "label": 0},
    {"premise": "The bakery is closed.", "hypothesis": "The baker is ill.", "label": 1},
    {"premise": "Two boats lie at anchor.", "hypothesis": "The boats are racing.", "label": 2},
]


@pytest.mark.parametrize("name", ["anli_r1", "anli_r2", "anli_r3", "snli"])
def test_anli_and_snli(name: str, check_source: Check) -> None:
    check_source(
        name,
        ROWS,
        choice="Premise:\nA violinist tunes her violin.\n\nHypothesis:\nA woman holds a violin.\n\nChoices:\n"
        "  (a): Yes\n  (b): It's impossible to say\n  (c): No\nAnswer:",
        choice_targets="abc",
        oe="Read the following premise and answer if the hypothesis is true. Respond with only "
        '"Yes", "No", or "It\'s impossible to say" answer and no additional text.\n'
        "A violinist tunes her violin.\nHypothesis: A woman holds a violin.\nAnswer:",
        oe_targets=["Yes", "It's impossible to say", "No"],
    )


def test_cb_orders_the_options_otherwise(check_source: Check) -> None:
    check_source(
        "cb",
        ROWS,
        choice="Premise:\nA violinist tunes her violin.\n\nHypothesis:\nA woman holds a violin.\n\nChoices:\n"
        "  (a): Yes\n  (b): No\n  (c): It's impossible to say\nAnswer:",
        choice_targets="abc",
        oe="Read the following premise and answer if the hypothesis is true. Respond only with "
        '"Yes", "No", or "It\'s impossible to say" and no additional text.\n'
        "A violinist tunes her violin.\nHypothesis: A woman holds a violin..\nAnswer:",
        oe_targets=["Yes", "No", "It's impossible to say"],
    )


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_round_of_anli_takes_its_examples_from_its_own_dev_rows(number: int) -> None:
    source = hub_source(f"anli_r{number}")
    assert source.splits == {"train": f"train_r{number}", "test": f"test_r{number}"}
    assert source.shots_from == f"dev_r{number}"
