"""Whom does the sentence mean? WinoGrande and the Winograd schemas."""

from raycalib.sources.hub.columns import TextReader, in_columns, in_list, number, text_at
from raycalib.sources.hub.declaration import HubSource, OpenEndedText, StyleText

AMBIGUOUS_CHOICES = "The following are ambiguous sentences (with answer choices)."
AMBIGUOUS_ANSWERS = "The following are ambiguous sentences (with answers)."
NEXT_AMBIGUITY = "Now, resolve the next ambiguity."


def _filled_with(option: str) -> TextReader:
    return lambda row: text_at(row, "sentence").replace("_", text_at(row, option))


WINOGRANDE = HubSource(
    name="winogrande",
    hub_id="allenai/winogrande",
    revision="01e74176c63542e6b0bcb004dcdea22d94fb67b5",
    config="winogrande_xl",
    splits={"train": "train", "validation": "validation"},
    shots_from="train",
    choice=StyleText(context="Sentence:\n{sentence}", intro=AMBIGUOUS_CHOICES, outro=NEXT_AMBIGUITY),
    oe=OpenEndedText(
        context='Fill in the blank "_" in the following sentence from the following choices. '
        'Respond with only "1" or "2" and no additional text.\n'
        "Sentence: {sentence}\n  Choice 1: {with_option1}\n  Choice 2: {with_option2}",
        intro=AMBIGUOUS_ANSWERS,
        outro=NEXT_AMBIGUITY,
        target="{number}",
    ),
    derived={"with_option1": _filled_with("option1"), "with_option2": _filled_with("option2")},
    options=in_columns("option1", "option2"),
    answer=number("answer", first=1),
)

WSC = HubSource(
    name="wsc",
    hub_id="lighteval/winograd_wsc",
    config="wsc285",
    splits={"test": "test"},
    shots_from="test",
    choice=StyleText(context="Sentence:\n{text}", intro=AMBIGUOUS_CHOICES, outro=NEXT_AMBIGUITY),
    oe=OpenEndedText(
        context="Read the following sentence, and resolve the ambiguity.\n{text}",
        intro=AMBIGUOUS_ANSWERS,
        outro=NEXT_AMBIGUITY,
    ),
    options=in_list("options"),
    answer=number("label"),
)

SOURCES = (WINOGRANDE, WSC)
