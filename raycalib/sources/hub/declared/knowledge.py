"""Knowledge: TREC's question categories, TruthfulQA, MMLU task by task and MMLU-Pro category by category."""

from raycalib.sources.hub.columns import fixed, in_list, marked, number
from raycalib.sources.hub.declaration import HubSource, OpenEndedText, PaperReading, StyleText
from raycalib.sources.hub.declared.mmlu_tasks import MMLU_PRO_CATEGORIES, MMLU_TASKS

MULTIPLE_CHOICE = "The following are questions with multiple-choice answers."
ANSWERS = "The following are questions with answers."
NEXT_QUESTION = "Now, answer the next question."
TREC_CATEGORIES = (
    "Abbreviation",
    "Entity",
    "Description and abstract concept",
    "Human being",
    "Location",
    "Numeric value",
)

TREC = HubSource(
    name="trec",
    hub_id="CogComp/trec",
    revision="65752bf53af25bc935a0dce92fb5b6c930728450",  # of refs/convert/parquet; main has only a loading script
    splits={"train": "train", "test": "test"},
    shots_from="train",
    choice=StyleText(context="Question:\n{text}", intro=MULTIPLE_CHOICE, outro=NEXT_QUESTION),
    oe=OpenEndedText(
        context="Read the following question and then pick a category that describes the question.\n"
        f"Question: {{text}}\nWhat category is the question in? Choose one from {', '.join(TREC_CATEGORIES)}. "
        "Respond with only the category and no additional text.",
        intro=ANSWERS,
        outro=NEXT_QUESTION,
        after_outro="",  # so in the paper: the question follows without a blank line
    ),
    options=fixed(*TREC_CATEGORIES),
    answer=number("coarse_label"),
)

TRUTHFUL_QA = HubSource(
    name="truthful_qa",
    hub_id="truthfulqa/truthful_qa",
    revision="741b8276f2d1982aa3d5b832d3ee81ed3b896490",
    config="multiple_choice",
    splits={"validation": "validation"},
    shots_from="validation",
    choice=StyleText(context="Question:\n{question}", intro=MULTIPLE_CHOICE, outro=NEXT_QUESTION),
    oe=OpenEndedText(context="Question: {question}", intro=ANSWERS, outro=NEXT_QUESTION),
    options=in_list("mc1_targets.choices"),
    answer=marked("mc1_targets.labels"),
    shuffles_options=True,  # the hub puts the right option first
    paper=PaperReading(shuffles_options=False),
)


def _choice(subject: str) -> StyleText:
    return StyleText(
        context="Question:\n{question}",
        intro=f"The following are multiple-choice questions (with answers) about {subject}.",
        outro=NEXT_QUESTION,
    )


def _open_ended(subject: str) -> OpenEndedText:
    return OpenEndedText(
        context="Question: {question}",
        intro=f"The following are questions (with answers) about {subject}.",
        outro=NEXT_QUESTION,
    )


def mmlu(task: str) -> HubSource:
    """One task of MMLU; its dev rows serve as few-shot examples only."""
    subject = task.replace("_", " ").capitalize()
    return HubSource(
        name=f"mmlu:{task}",
        hub_id="cais/mmlu",
        revision="c30699e8356da336a370243923dbaf21066bb9fe",
        config=task,
        splits={"validation": "validation", "test": "test"},
        shots_from="dev",
        choice=_choice(subject),
        oe=_open_ended(subject),
        options=in_list("choices"),
        answer=number("answer"),
        default_shots=5,
        evaluation_only=True,
    )


def mmlu_pro(category: str) -> HubSource:
    """One category of MMLU-Pro; its validation rows serve as few-shot examples only."""
    words = category.replace("_", " ")
    return HubSource(
        name=f"mmlu_pro:{category}",
        hub_id="TIGER-Lab/MMLU-Pro",
        revision="b189ec765aa7ed75c8acfea42df31fdae71f97be",
        splits={"test": "test"},
        shots_from="validation",
        category=("category", words),
        choice=_choice(words.capitalize()),
        oe=_open_ended(words.capitalize()),
        options=in_list("options"),
        answer=number("answer_index"),
        default_shots=5,
        evaluation_only=True,
    )


SOURCES = (TREC, TRUTHFUL_QA, *map(mmlu, MMLU_TASKS), *map(mmlu_pro, MMLU_PRO_CATEGORIES))
