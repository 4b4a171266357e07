"""Word problems: GSM8K and MathQA."""

import re
from string import ascii_lowercase

from raycalib.records import Row
from raycalib.sources.hub.columns import key, text_at
from raycalib.sources.hub.declaration import HubSource, OpenEndedText, PaperReading, StyleText
from raycalib.sources.hub.item import UnusableRowError

LETTER_AFTER_COMMA = re.compile(r",\s*([a-z])\s*$")
NEXT_QUESTION = "Now, answer the next question."

GSM8K = HubSource(
    name="gsm8k",
    hub_id="openai/gsm8k",
    revision="740312add88f781978c0658806c59bc2815b9866",
    config="main",
    splits={"train": "train", "test": "test"},
    shots_from="train",
    oe=OpenEndedText(
        context="Question: {question}",
        intro="The following are math questions (with answers).",
        outro=NEXT_QUESTION,
        target="{answer}",
    ),
    solution="answer",
    default_shots=8,
    evaluation_only=True,
)


def lettered_options(row: Row) -> tuple[str, ...]:
    """The options of a text such as ``a ) 1,500 , b ) f ( 2 ) , c ) none``: commas and brackets may stand inside one.

    An option ends where the next letter in turn follows a comma; a row that leaves a letter out is refused.

    >>> lettered_options({"options": "a ) 1,500 , b ) f ( 2 ) , c ) none"})
    ('1,500', 'f ( 2 )', 'none')
    """
    text = text_at(row, "options")
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    for letter in ascii_lowercase:
        found = re.compile(rf"(?:^|,)\s*{letter}\s*\)").search(text, position)
        if found is None or (not starts and text[: found.start()].strip()):
            break
        starts.append(found.end())
        ends.append(found.start())
        position = found.end()
    if not starts:
        raise UnusableRowError("'options' does not begin with 'a )'", "options")
    options = tuple(text[start:end].strip() for start, end in zip(starts, [*ends[1:], len(text)], strict=True))
    for letter, option in zip(ascii_lowercase, options, strict=False):
        if stray := _stray_letter(option):
            reason = f"'options' has '{stray} )' inside option ({letter}): its letters are not in turn"
            raise UnusableRowError(reason, "options")
    return options


def _stray_letter(option: str) -> str:
    """The letter that begins another option in this one: after a comma, before a bracket that was never opened."""
    depth = 0
    for place, character in enumerate(option):
        if character == ")" and depth == 0 and (found := LETTER_AFTER_COMMA.search(option[max(0, place - 8) : place])):
            return found[1]
        depth = max(0, depth + (character == "(") - (character == ")"))
    return ""


def split_at_commas(row: Row) -> tuple[str, ...]:
    """The paper's reading: cut at every comma, and keep of each piece what follows its last closing bracket."""
    return tuple(piece.rpartition(")")[2].strip() for piece in text_at(row, "options").split(","))


MATH_QA = HubSource(
    name="math_qa",
    hub_id="regisss/math_qa",
    splits={"train": "train", "validation": "validation", "test": "test"},
    shots_from="train",
    choice=StyleText(
        context="Problem:\n{Problem}",
        intro="The following are math questions (with multiple-choice answers).",
        outro=NEXT_QUESTION,
    ),
    oe=OpenEndedText(
        context="Provide your best answer for the following math problem.\nProblem: {Problem}",
        intro="The following are math questions (with answers).",
        outro=NEXT_QUESTION,
    ),
    options=lettered_options,
    answer=key("correct"),
    paper=PaperReading(options=split_at_commas, refuses_repeated_options=True),
)

SOURCES = (GSM8K, MATH_QA)
