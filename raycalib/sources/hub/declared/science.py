"""Science questions: ARC, OpenBookQA and SciQ."""

from raycalib.sources.hub.columns import TextReader, in_columns, in_list, key, text_at
from raycalib.sources.hub.declaration import HubSource, OpenEndedText, PaperReading, StyleText


def arc(name: str, config: str) -> HubSource:
    """One difficulty of ARC; some rows number their options, others letter them."""
    return HubSource(
        name=name,
        hub_id="allenai/ai2_arc",
        revision="210d026faf9955653af8916fad021475a3f00453",
        config=config,
        splits={"train": "train", "validation": "validation", "test": "test"},
        shots_from="train",
        choice=StyleText(
            context="Question:\n{question}", intro="The following are questions (with multiple-choice answers)."
        ),
        oe=OpenEndedText(context="The question is: {question}", intro="The following are questions (with answers)."),
        options=in_list("choices.text"),
        answer=key("answerKey", among="choices.label"),
    )


OBQA = HubSource(
    name="obqa",
    hub_id="allenai/openbookqa",
    revision="388097ea7776314e93a529163e0fea805b8a6454",
    config="main",
    splits={"train": "train", "validation": "validation", "test": "test"},
    shots_from="train",
    choice=StyleText(
        context="Question:\n{question_stem}",
        intro="The following are questions with multiple-choice answers.",
        outro="Now, answer the next question.",
    ),
    oe=OpenEndedText(
        context="Provide your best answer for the following question.\nQuestion: {question_stem}",
        intro="The following are questions with answers.",
        outro="Now, answer the next question.",
    ),
    options=in_list("choices.text"),
    answer=key("answerKey", among="choices.label"),
)


def _support(before: str, after: str) -> TextReader:
    return lambda row: f"{before}{text}{after}" if (text := text_at(row, "support")) else ""


SCIQ = HubSource(
    name="sciq",
    hub_id="allenai/sciq",
    revision="2c94ad3e1aafab77146f384e23536f97a4849815",
    splits={"train": "train", "validation": "validation", "test": "test"},
    shots_from="train",
    choice=StyleText(
        context="{support_section}\nQuestion:\n{question}",
        intro="The following are science exam questions with multiple-choice answers.",
        outro="Now, answer the next question.",
    ),
    oe=OpenEndedText(
        context="Read the following and answer the question.\n{support_line}Question: {question}",
        intro="The following are science exam questions with answers.",
        outro="Now, answer the next question.",
        zero_shot_hint="Give ONLY the answer, no other words or explanation.\n\n"
        "For example:\nAnswer: <most likely answer, as short as possible>.",
    ),
    derived={"support_section": _support("Support:\n", "\n"), "support_line": _support("", "\n")},
    options=in_columns("distractor1", "distractor2", "distractor3", "correct_answer"),
    answer=lambda row, options: len(options) - 1,
    shuffles_options=True,
    paper=PaperReading(shuffles_options=True, refuses_repeated_options=True),
)

SOURCES = (arc("arc", "ARC-Easy"), arc("arc_challenge", "ARC-Challenge"), OBQA, SCIQ)
