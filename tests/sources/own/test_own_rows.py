import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raycalib.errors import DataError
from raycalib.records import QUESTION
from raycalib.sources import SourceSettings, check_source
from raycalib.sources.dealing import WHOLE_SHARES
from tests.sources.drawn import ENDINGS, Drawn, check_counts, write

RECORDS: list[dict[str, Any]] = [
    {"question": "2 + 2?", "answer": "4", "options": ["3", "4"], "task": "sums", "split": "train"},
    {"question": "Largest planet?", "answer": "Jupiter", "options": None, "task": None, "split": "train"},
    {"question": "Capital of Peru?", "answer": "Lima", "options": ["Lima", "Quito"], "task": "x", "split": "test"},
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_in_both_styles(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"mine{ending}", RECORDS)
    drawn = Drawn(f"file:{path}")
    check_counts(drawn)
    assert [row["context"] for row in drawn.split("train")] == ["Question: 2 + 2?", "Question: Largest planet?"]
    assert [row["target"] for row in drawn.rows] == ["4", "Jupiter", "Lima"]
    assert [row["task"] for row in drawn.rows] == ["sums", "mine", "x"]
    assert {row["source"] for row in drawn.rows} == {f"file:mine{ending}"}
    assert all(row["options"] == [] for row in drawn.rows)
    choice = Drawn(f"file:{path}", "choice")
    assert [(row["target"], row["options"]) for row in choice.rows] == [("b", ["3", "4"]), ("a", ["Lima", "Quito"])]
    assert choice.rows[1]["context"] == "Question:\nCapital of Peru?\n\nChoices:\n  (a): Lima\n  (b): Quito"
    assert choice.tally.left_out.total() == 1  # no options, no choice question
    check_counts(choice)
    for found in (drawn, choice):
        assert pa.Table.from_pylist(found.rows, schema=QUESTION).to_pylist() == found.rows


@pytest.mark.parametrize("answer", ["007", "1.50", "true", "12:30", "2020-01-01", "1e3", "NA", "null", "None", "nan"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_answers_stay_the_texts_that_they_are(tmp_path: Path, answer: str, ending: str) -> None:
    path = write(tmp_path / f"mine{ending}", [{"question": answer, "answer": answer, "options": [answer, "x"]}])
    (row,) = Drawn(f"file:{path}").rows
    assert (row["context"], row["target"]) == (f"Question: {answer}", answer)
    (row,) = Drawn(f"file:{path}", "choice").rows
    assert row["options"] == [answer, "x"]


@pytest.mark.parametrize("text", ["🦊🏽‍🚀", "ما هي عاصمة مصر؟", 'a "quoted"\r\nline, and commas', "é" * 3, "\u202eabc"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_any_writing_is_kept(tmp_path: Path, text: str, ending: str) -> None:
    path = write(tmp_path / f"mine{ending}", [{"question": text, "answer": text, "options": [text, "y"]}])
    (row,) = Drawn(f"file:{path}", "choice").rows
    assert text in row["context"]
    assert row["options"] == [text, "y"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_question_of_five_megabytes_is_accepted(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"mine{ending}", [{"question": "long " * 2**20, "answer": "yes"}])
    (row,) = Drawn(f"file:{path}").rows
    assert len(row["context"]) > 5 * 2**20


def test_numbers_and_dates_are_read_as_text(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"question": "2 + 2?", "answer": 4, "options": [3, 4]}])
    (row,) = Drawn(f"file:{path}", "choice").rows
    assert (row["target"], row["options"]) == ("b", ["3", "4"])


GOOD = {"question": "2 + 2?", "answer": "4", "options": ["3", "4"], "split": "test"}
FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"answer": ""}, "answer", "'answer' is empty"),
    ({"answer": "  "}, "answer", "'answer' is empty"),
    ({"answer": None}, "answer", "'answer' is empty"),
    ({"question": ""}, "question", "'question' is empty"),
    ({"question": "a\0b"}, "question", "'question' holds a NUL character"),
    ({"options": ["4", "a\0b"]}, "options", "'options' holds a NUL character"),
    ({"options": ["5", "6"]}, "answer", "the answer '4' is not among its options"),
    ({"options": ["4"]}, "options", "'options' must be a list of 2 to 26 texts"),
    ({"options": [str(number) for number in range(27)]}, "options", "'options' must be a list of 2 to 26 texts"),
    ({"options": ["4", "4 "]}, "options", "options (a) and (b) are equal"),
    ({"options": ["4", ""]}, "options", "option (b) is empty"),
    ({"split": "tset"}, "split", "'split' is 'tset', which is unknown; allowed: train, val_select, val_calibrate"),
]


@pytest.mark.parametrize(("change", "field", "reason"), FAULTS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_bad_row_is_refused_by_name_and_the_rest_goes_on(
    tmp_path: Path, ending: str, change: dict[str, Any], field: str, reason: str
) -> None:
    path = write(tmp_path / f"mine{ending}", [GOOD, GOOD | change, GOOD])
    drawn = Drawn(f"file:{path}")
    check_counts(drawn)
    assert len(drawn.rows) == 2
    (refused,) = drawn.refused
    assert (refused.place, refused.row, refused.field, refused.expected) == (str(path), 2, field, False)
    assert reason in refused.reason
    assert "\n" not in refused.reason
    assert refused.content
    assert refused.content.isascii()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": True}, "the answer True is a truth value, and not one of its options is yes or no"),
        ({"answer": ["x"]}, "the answer 'x' is not among its options"),
        (
            {"answer": {"a": 1}},
            "'answer' holds the fields a; name the one with the text as answer_column, such as answer.a",
        ),
        ({"question": True}, "'question' must be a text or a number, not bool"),
        ({"question": ["x"]}, "'question' must be a text or a number, not list"),
        ({"question": {"stem": "2 + 2?"}}, "not a struct of stem; name the field with the text, as question.stem"),
        ({"question": float("inf")}, "'question' is no finite number"),
        ({"question": float("nan")}, "'question' is empty"),
    ],
)
def test_a_value_of_a_wrong_type_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = write(tmp_path / "mine.jsonl", [GOOD, GOOD | change])
    (refused,) = Drawn(f"file:{path}").refused
    assert reason in refused.reason


def test_options_as_plain_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("question,answer,options\n2 + 2?,4,3 4\n")
    with pytest.raises(DataError, match="row 1: 'options' must be a list"):
        check_source(SourceSettings(name=f"file:{path}"), ["oe"], 0)


def test_the_sample_of_a_refused_row_is_short_and_escaped(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [GOOD | {"answer": "", "question": "\x1b[31m\n" + "x" * 10**6}])
    (refused,) = Drawn(f"file:{path}").refused
    assert len(refused.content) <= 400
    assert "\\x1b[31m\\n" in refused.content
    assert json.loads(json.dumps(refused.record()))["row"] == 1


def test_rows_are_dealt_by_question_and_seed(tmp_path: Path) -> None:
    records = [{"question": f"Question {index}?", "answer": str(index)} for index in range(2000)]
    name = f"file:{write(tmp_path / 'mine.jsonl', records)}"
    dealt = Drawn(name, seed=0)
    for split, share in WHOLE_SHARES:
        # Five standard errors of a binomial share.
        assert abs(len(dealt.split(split)) / 2000 - share) < 5 * (share * (1 - share) / 2000) ** 0.5
    contexts = {row["context"] for row in dealt.split("train")}
    assert contexts != {row["context"] for row in Drawn(name, seed=1).split("train")}
    shuffled = Drawn(f"file:{write(tmp_path / 'shuffled.jsonl', records[::-1])}", seed=0)
    assert {row["context"] for row in shuffled.split("train")} == contexts
    assert {row["split"] for row in Drawn(name).rows} == {split for split, _ in WHOLE_SHARES}


def test_validation_rows_are_dealt_to_both_halves(tmp_path: Path) -> None:
    records = [{"question": f"Q{index}?", "answer": "x", "split": "validation"} for index in range(40)]
    drawn = Drawn(f"file:{write(tmp_path / 'mine.jsonl', records)}")
    assert {row["split"] for row in drawn.rows} == {"val_select", "val_calibrate"}


@pytest.mark.parametrize("column", ["question", "context"])
def test_what_is_about_one_thing_stays_in_one_split(tmp_path: Path, column: str) -> None:
    records = [{"question": f"Q{index}?", "answer": str(index), "context": "c"} for index in range(100)]
    records = [record | {column: f"{index % 30}"} for index, record in enumerate(records)]
    rows = Drawn(f"file:{write(tmp_path / 'mine.jsonl', records)}").rows
    splits = {(row["group"], row["split"]) for row in rows}
    assert len(splits) == len({group for group, _ in splits}) == (1 if column == "question" else 30)


def test_equal_rows_get_ids_of_their_own_and_renamed_files_the_same(tmp_path: Path) -> None:
    records = [{"question": f"Q{index % 50}?", "answer": "x", "options": ["x", "y"]} for index in range(100)]
    path, renamed = (write(tmp_path / name, records) for name in ("mine.jsonl", "renamed.csv"))
    ids = [row_id for style in ("oe", "choice") for row_id in Drawn(f"file:{path}", style).ids()]
    assert len(set(ids)) == 200
    assert ids == [row_id for style in ("oe", "choice") for row_id in Drawn(f"file:{renamed}", style).ids()]
    backwards = write(tmp_path / "backwards.jsonl", records[::-1])
    assert set(Drawn(f"file:{backwards}").ids()) == set(ids[:100])


def test_few_shot_examples_come_from_the_train_rows(tmp_path: Path) -> None:
    records = [{"question": f"Q{index}?", "answer": str(index), "split": "train"} for index in range(3)]
    records += [{"question": f"Last {split}?", "answer": "9", "split": split} for split in ("validation", "test")]
    path = write(tmp_path / "mine.jsonl", records)
    rows = Drawn(f"file:{path}", eval_k_shot=2).rows
    assert [row["prompt"].count("Answer:") for row in rows] == [0, 0, 0, 0, 2]
    assert rows[-1]["prompt"].startswith("The following are questions (with answers).\n\nQuestion: Q")
    for row in Drawn(f"file:{path}", k_shot=3).split("train"):
        assert row["context"] not in row["prompt"]
        assert row["prompt"].count("Answer:") == 2


def test_rows_to_validate_on_have_as_many_examples_as_those_to_train_on(tmp_path: Path) -> None:
    splits = ("train", "train", "train", "val_select", "val_calibrate", "test")
    records = [{"question": f"Q{i}?", "answer": str(i), "split": split} for i, split in enumerate(splits)]
    path = write(tmp_path / "mine.jsonl", records)

    def examples(*k_shot: str, **more: int) -> list[int]:
        rows = Drawn(f"file:{path}", k_shot=k_shot, **more).rows
        return [row["prompt"].count("Answer:") for row in rows]

    assert examples() == [0, 0, 0, 0, 0, 0]
    assert examples("1") == examples("train=1") == [1, 1, 1, 1, 1, 0]
    assert examples("1", eval_k_shot=2) == [1, 1, 1, 1, 1, 2]
    assert examples("train=1", "val=0", "test=3", eval_k_shot=2) == [1, 1, 1, 0, 0, 3]
    assert examples("file:mine=3") == [0, 0, 0, 0, 0, 3]


def test_rows_that_ask_the_same_are_no_examples_of_each_other(tmp_path: Path) -> None:
    """Whatever their answers' writing, task, split or options are."""
    same = [
        {"question": "Capital of France?", "answer": "Paris", "task": "geo1"},
        {"question": " Capital of France? ", "answer": "Paris.", "task": "geo2"},
        {"question": "Capital of France?", "answer": "Paris", "options": ["Paris", "Lyon"]},
    ]
    others = [{"question": f"Capital of country {index}?", "answer": "x"} for index in range(2)]
    records = [record | {"split": "train"} for record in (*same, *others)]
    path = write(tmp_path / "mine.jsonl", [*records, {"question": "Why?", "answer": "x", "split": "validation"}])
    for seed in range(5):
        for row in Drawn(f"file:{path}", k_shot=4, seed=seed).split("train"):
            assert ("France" in row["prompt"]) == ("France" not in row["context"])


def test_one_question_about_two_contexts_is_two_questions(tmp_path: Path) -> None:
    records = [{"question": "Who won?", "answer": name, "context": f"{name} won."} for name in ("Ann", "Bob")]
    records = [record | {"split": "train"} for record in records]
    path = write(tmp_path / "mine.jsonl", [*records, {"question": "Why?", "answer": "x", "split": "validation"}])
    rows = Drawn(f"file:{path}", k_shot=1).split("train")
    assert [row["prompt"].count("Answer:") for row in rows] == [1, 1]
