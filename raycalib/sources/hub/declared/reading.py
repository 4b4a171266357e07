"""Questions about a text: BoolQ, MultiRC of SuperGLUE, Cosmos QA and Social IQa."""

from raycalib.sources.hub.columns import fixed, in_columns, number, truth
from raycalib.sources.hub.declaration import HubSource, OpenEndedText, PaperReading, StyleText
from raycalib.sources.hub.declared.super_glue import SUPER_GLUE, SUPER_GLUE_REVISION

BOOLQ = HubSource(
    name="boolq",
    hub_id="google/boolq",
    revision="35b264d03638db9f4ce671b711558bf7ff0f80d5",
    splits={"train": "train", "validation": "validation"},
    shots_from="train",
    choice=StyleText(
        context="Passage:\n{passage}\n\nQuestion:\n{question}",
        intro="The following are comprehension passages (with multiple-choice answers).",
    ),
    oe=OpenEndedText(
        context="Read the following passage and answer the question. "
        'Respond with only "True" or "False" and no additional text.\n'
        "Passage: {passage}\nQuestion: {question}?",
        intro="The following are comprehension passages (with answers).",
    ),
    options=fixed("False", "True"),
    answer=truth("answer"),
    group_by="passage",
)

MULTIRC = HubSource(
    name="multirc",
    hub_id=SUPER_GLUE,
    revision=SUPER_GLUE_REVISION,
    config="multirc",
    splits={"train": "train", "validation": "validation"},
    shots_from="train",
    choice=StyleText(
        context="Paragraph:\n{paragraph}\n\nQ: {question}\n\nA: {answer}",
        intro="The following are reading comprehensions (with multiple-choice answers).",
    ),
    oe=OpenEndedText(
        context="Read the following paragraph along with the question and answer. "
        "Then, respond with whether the answer is correct. "
        'Respond with only "Yes" or "No" and no additional text.\n'
        "Passage: {paragraph}\nQuestion: {question}\nAnswer: {answer}. Is the answer correct?",
        intro="The following are reading comprehensions (with answers).",
        target_prompt="\nResponse:",
    ),
    options=fixed("No", "Yes"),
    answer=number("label"),
    group_by="paragraph",
)

PARAGRAPH_AND_QUESTION = (
    "Read the following paragraph and answer the question.\nParagraph: {context}\nQuestion: {question}"
)

COSMOS_QA = HubSource(
    name="cosmos_qa",
    hub_id="allenai/cosmos_qa",
    revision="ed50fe83db62b355759053b1cd5eef344ee371e0",  # of refs/convert/parquet; main has only a loading script
    splits={"train": "train", "validation": "validation"},
    shots_from="train",
    choice=StyleText(
        context="Context:\n{context}\n\nQuestion:\n{question}",
        intro="The following are some contexts and questions (with multiple-choice answers).",
    ),
    oe=OpenEndedText(
        context=PARAGRAPH_AND_QUESTION, intro="The following are some contexts and questions (with answers)."
    ),
    options=in_columns("answer0", "answer1", "answer2", "answer3"),
    answer=number("label"),
    group_by="context",
)

SIQA = HubSource(
    name="siqa",
    hub_id="lighteval/siqa",
    revision="54c6a1f8cb6daf4f5abf24a601852612fb35eb25",
    splits={"train": "train", "validation": "validation"},
    shots_from="train",
    choice=StyleText(
        context="Context:\n{context}\n\nQuestion:\n{question}",
        intro="The following are social interaction questions with multiple-choice answers.",
        outro="Now, answer the next question.",
    ),
    oe=OpenEndedText(
        context=PARAGRAPH_AND_QUESTION,
        intro="The following are social interaction questions with answers.",
        outro="Now, answer the next question.",
        zero_shot_hint="Give ONLY the answer, no other words or explanation.\n"
        "For example:\nAnswer: <most likely answer, as short as possible>.",
    ),
    options=in_columns("answerA", "answerB", "answerC"),
    answer=number("label", first=1),
    group_by="context",
    paper=PaperReading(refuses_repeated_options=True),
)

SOURCES = (BOOLQ, MULTIRC, COSMOS_QA, SIQA)
