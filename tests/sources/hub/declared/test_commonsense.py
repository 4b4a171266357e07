import json
from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import DataError
from raycalib.sources.hub import Item, Refusal, convert_row, convert_rows, hub_source, open_split, render
from tests.sources.hub.conftest import SEED, Check

CHOICES = {"label": ["A", "B", "C"], "text": ["a drawer", "a cloud", "a river"]}
CSQA_ROWS: list[dict[str, Any]] = [
    {"question": "Where do you keep forks?", "choices": CHOICES, "answerKey": "A"},
    {"question": "Where do trout swim?", "choices": CHOICES, "answerKey": "C"},
    {"question": "Where does rain come from?", "choices": CHOICES, "answerKey": "B"},
]
COPA_ROWS: list[dict[str, Any]] = [
    {"premise": "The bell rang.", "choice1": "Class ended.", "choice2": "Snow fell.", "label": 0},
    {"premise": "He watered the plant.", "choice1": "It sang.", "choice2": "It grew.", "label": 1},
    {"premise": "She locked the door.", "choice1": "She left.", "choice2": "She flew.", "label": 0},
]
HELLASWAG_ROWS: list[dict[str, Any]] = [
    {"ctx": f"{ctx_a} {ctx_b}".strip(), "ctx_a": ctx_a, "ctx_b": ctx_b, "endings": endings, "label": label}
    for ctx_a, ctx_b, endings, label in (
        ("A girl lights a candle.", "she", ["blows it out.", "eats the sea."], "0"),
        ("Knead the dough.", "", ["Sleep.", "Rest it."], "1"),
        ("Two men saw a log.", "", ["It splits.", "It barks."], "0"),
    )
]
PIQA_ROWS: list[dict[str, Any]] = [
    {"goal": "Keep bread fresh", "sol1": "put it in a box", "sol2": "put it in water", "label": 0},
    {"goal": "Peel an egg", "sol1": "freeze it", "sol2": "crack the shell first", "label": 1},
    {"goal": "Find north", "sol1": "use a compass", "sol2": "use a spoon", "label": "0"},
]
STORY_ROWS: list[dict[str, Any]] = [
    {
        **{f"input_sentence_{place}": f"{name} did thing {place}." for place in range(1, 5)},
        "sentence_quiz1": f"{name} rested.",
        "sentence_quiz2": f"{name} became a teapot.",
        "answer_right_ending": right,
    }
    for name, right in (("Ana", 1), ("Bo", 2), ("Cy", 1))
]
CSV = (
    "InputStoryid,InputSentence1,InputSentence2,InputSentence3,InputSentence4,"
    "RandomFifthSentenceQuiz1,RandomFifthSentenceQuiz2,AnswerRightEnding\n"
    'x,"Dee ran, fast.",Dee fell.,Dee rose.,Dee won.,Dee cried.,Dee cheered.,2\n'
)


def test_commonsense_qa(check_source: Check) -> None:
    check_source(
        "commonsense_qa",
        CSQA_ROWS,
        choice="Question:\nWhere do you keep forks?\n\n"
        "Choices:\n  (a): a drawer\n  (b): a cloud\n  (c): a river\nAnswer:",
        choice_targets="acb",
        oe="Question: Where do you keep forks?\nAnswer:",
        oe_targets=["a drawer", "a river", "a cloud"],
    )


def test_commonsense_qa_without_a_key_is_refused_and_the_paper_takes_the_first_option() -> None:
    source, row = hub_source("commonsense_qa"), {**CSQA_ROWS[1], "answerKey": ""}
    assert convert_row(source, row, 4, seed=SEED) == Refusal(
        4, "'answerKey' is '': the row has no label", "answerKey", expected=True
    )
    as_paper = convert_row(source, row, 4, seed=SEED, paper_exact=True)
    assert not isinstance(as_paper, Refusal)
    assert render(source, as_paper, "choice").target == "a"


def test_copa_is_answered_by_number_in_oe(check_source: Check) -> None:
    check_source(
        "copa",
        COPA_ROWS,
        choice="Premise:\nThe bell rang.\n\nChoices:\n  (a): Class ended.\n  (b): Snow fell.\nAnswer:",
        choice_targets="aba",
        oe='Read the following premise and pick the correct choice. Respond only with "1" or "2" and no additional '
        "text.\nPremise: The bell rang.\n  Choice 1: Class ended.\n  Choice 2: Snow fell.\nAnswer:",
        oe_targets=["1", "2", "1"],
    )


def test_hellaswag(check_source: Check) -> None:
    check_source(
        "hellaswag",
        HELLASWAG_ROWS,
        choice="Context:\nA girl lights a candle. she A girl lights a candle. she\n\n"
        "Choices:\n  (a): blows it out.\n  (b): eats the sea.\nAnswer:",
        choice_targets="aba",
        oe="Complete the ending for the following paragraph.\n"
        "A girl lights a candle. she A girl lights a candle. she\nEnding:",
        oe_targets=["blows it out.", "Rest it.", "It splits."],
    )
    assert hub_source("hellaswag").mixture_styles == ("choice",)


def test_piqa_takes_labels_as_numbers_and_as_digits(check_source: Check) -> None:
    check_source(
        "piqa",
        PIQA_ROWS,
        choice="Goal:\nKeep bread fresh\n\nChoices:\n  (a): put it in a box\n  (b): put it in water\nAnswer:",
        choice_targets="aba",
        oe="Provide advice on how to accomplish the following goal.\nGoal: Keep bread fresh\nAnswer:",
        oe_targets=["put it in a box", "crack the shell first", "use a compass"],
    )


def test_story_cloze(check_source: Check) -> None:
    story = "Ana did thing 1. Ana did thing 2. Ana did thing 3. Ana did thing 4."
    check_source(
        "story_cloze",
        STORY_ROWS,
        choice=f"Story:\n{story}\n\nChoices:\n  (a): Ana rested.\n  (b): Ana became a teapot.\nAnswer:",
        choice_targets="aba",
        oe=f"Complete the ending of the following story.\n{story}\nEnding:",
        oe_targets=["Ana rested.", "Bo became a teapot.", "Cy rested."],
    )


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_story_cloze_is_read_below_the_data_root(tmp_path: Path, ending: str) -> None:
    source = hub_source("story_cloze")
    path = tmp_path / "story_cloze" / f"validation{ending}"
    path.parent.mkdir()
    if ending == ".csv":  # as its authors send it
        path.write_text(CSV, encoding="utf-8-sig")
    else:  # with the hub's column names
        path.write_text("".join(json.dumps(row) + "\n" for row in STORY_ROWS[1:2]))
    rows = open_split(source, "validation", str(tmp_path)).rows(None)
    (item,) = (item for item in convert_rows(source, rows, seed=SEED) if isinstance(item, Item))
    assert item.texts["input_sentence_1"] == ("Dee ran, fast." if ending == ".csv" else "Bo did thing 1.")
    assert item.options[item.answer or 0] == ("Dee cheered." if ending == ".csv" else "Bo became a teapot.")


def test_story_cloze_is_found_where_the_papers_code_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    folder = tmp_path / "datasets" / "story_cloze" / "2018"
    folder.mkdir(parents=True)
    (folder / "cloze_test_val__winter2018-cloze_test_ALL_val - 1 - 1.csv").write_text(CSV, encoding="utf-8-sig")
    source = hub_source("story_cloze")
    (item,) = (
        item
        for item in convert_rows(source, open_split(source, "validation").rows(None), seed=SEED)
        if isinstance(item, Item)
    )
    assert item.options[item.answer or 0] == "Dee cheered."
    (folder / "other.csv").write_text(CSV)
    with pytest.raises(DataError, match=r"2018 has 2 csv files, and which is the validation file is not known"):
        open_split(source, "validation")


def test_a_missing_file_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    source = hub_source("story_cloze")
    with pytest.raises(
        DataError, match=r"source story_cloze: .*/story_cloze/validation .* does not exist; .*rocstories"
    ):
        open_split(source, "validation", str(tmp_path))
    with pytest.raises(
        DataError, match=r"rocstories.*; put it into .*2018, or at DIR/story_cloze/validation.csv and give --data-root"
    ):
        open_split(source, "validation")
