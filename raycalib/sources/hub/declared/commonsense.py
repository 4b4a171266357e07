"""Common sense: CommonsenseQA, COPA of SuperGLUE, HellaSwag, PIQA and Story Cloze."""

from raycalib.records import Row
from raycalib.sources.hub.columns import in_columns, in_list, key, number, value_at
from raycalib.sources.hub.declaration import HubSource, ManualFile, OpenEndedText, PaperReading, StyleText
from raycalib.sources.hub.declared.super_glue import SUPER_GLUE, SUPER_GLUE_REVISION

read_answer_key = key("answerKey", among="choices.label")


def _no_key_is_the_first_option(row: Row, options: tuple[str, ...]) -> int:
    return 0 if value_at(row, "answerKey") == "" else read_answer_key(row, options)


COMMONSENSE_QA = HubSource(
    name="commonsense_qa",
    hub_id="tau/commonsense_qa",
    revision="94630fe30dad47192a8546eb75f094926d47e155",
    splits={"train": "train", "validation": "validation", "test": "test"},
    shots_from="train",
    choice=StyleText(
        context="Question:\n{question}", intro="The following are questions (with multiple-choice answers)."
    ),
    oe=OpenEndedText(context="Question: {question}", intro="The following are questions (with answers)."),
    options=in_list("choices.text"),
    answer=read_answer_key,
    paper=PaperReading(answer=_no_key_is_the_first_option, refuses_repeated_options=True),
)

COPA = HubSource(
    name="copa",
    hub_id=SUPER_GLUE,
    revision=SUPER_GLUE_REVISION,
    config="copa",
    splits={"train": "train", "validation": "validation"},
    shots_from="train",
    choice=StyleText(
        context="Premise:\n{premise}", intro="The following are questions (with multiple-choice answers)."
    ),
    oe=OpenEndedText(
        context="Read the following premise and pick the correct choice. "
        'Respond only with "1" or "2" and no additional text.\n'
        "Premise: {premise}\n  Choice 1: {choice1}\n  Choice 2: {choice2}",
        intro="The following are questions (with answers).",
        target="{number}",
    ),
    options=in_columns("choice1", "choice2"),
    answer=number("label"),
)

HELLASWAG = HubSource(
    name="hellaswag",
    hub_id="Rowan/hellaswag",
    revision="218ec52e09a7e7462a5400043bb9a69a41d06b76",
    splits={"train": "train", "validation": "validation"},
    shots_from="train",
    choice=StyleText(
        context="Context:\n{ctx} {ctx_a} {ctx_b}",
        intro="The following are some context completions (with multiple-choice answers).",
    ),
    oe=OpenEndedText(
        context="Complete the ending for the following paragraph.\n{ctx} {ctx_a} {ctx_b}",
        intro="The following are some context completions (with answers).",
        target_prompt="\nEnding:",
    ),
    options=in_list("endings"),
    answer=number("label"),
    may_be_empty=("ctx_b",),
    not_in_mixture=("oe",),
)

PIQA = HubSource(
    name="piqa",
    hub_id="baber/piqa",
    revision="142f6d7367fd9877f0fb3b5734ea6a545f54cdd1",
    splits={"train": "train", "validation": "validation"},
    shots_from="train",
    choice=StyleText(
        context="Goal:\n{goal}",
        intro="The following are questions with multiple-choice answers.",
        outro="Now, answer the next question.",
    ),
    oe=OpenEndedText(
        context="Provide advice on how to accomplish the following goal.\nGoal: {goal}",
        intro="The following are questions with answers.",
        outro="Now, answer the next question.",
        zero_shot_hint="Give ONLY the advice, no other words or explanation.\n"
        "For example:\nAnswer: <advice, as short as possible; a single sentence!>.",
    ),
    options=in_columns("sol1", "sol2"),
    answer=number("label"),
    group_by="goal",
)

STORY = "{input_sentence_1} {input_sentence_2} {input_sentence_3} {input_sentence_4}"
STORY_CLOZE = HubSource(
    name="story_cloze",
    hub_id="LSDSem/story_cloze",
    config="2018",
    splits={"validation": "validation"},
    shots_from="validation",
    choice=StyleText(
        context=f"Story:\n{STORY}",
        intro="The following are stories with endings (multiple-choice).",
        outro="Now, complete the next story.",
    ),
    oe=OpenEndedText(
        context=f"Complete the ending of the following story.\n{STORY}",
        intro="The following are stories (with endings).",
        outro="Now, complete the next story.",
        target_prompt="\nEnding:",
    ),
    options=in_columns("sentence_quiz1", "sentence_quiz2"),
    answer=number("answer_right_ending", first=1),
    manual=ManualFile(
        instructions="its authors send the 2018 validation file on request: https://cs.rochester.edu/nlp/rocstories/",
        columns={
            **{f"InputSentence{place}": f"input_sentence_{place}" for place in range(1, 5)},
            "RandomFifthSentenceQuiz1": "sentence_quiz1",
            "RandomFifthSentenceQuiz2": "sentence_quiz2",
            "AnswerRightEnding": "answer_right_ending",
        },
        cached="datasets/story_cloze/2018",
    ),
)

SOURCES = (COMMONSENSE_QA, COPA, HELLASWAG, PIQA, STORY_CLOZE)
