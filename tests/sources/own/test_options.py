import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet
import pytest

from tests.sources.drawn import ENDINGS, Drawn, check_counts, write

TEXTS = ["red", "green", "blue"]


def drawn(
    tmp_path: Path, rows: list[dict[str, Any]], ending: str = ".jsonl", style: str = "choice", **named: str
) -> Drawn:
    found = Drawn(f"file:{write(tmp_path / f'mine{ending}', rows)}", style, **named)
    check_counts(found)
    return found


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("label", ["1", 1])
@pytest.mark.parametrize("named", [{}, {"choices_column": "choices.text", "answer_index_column": "answerKey"}])
def test_labels_beside_the_options_are_their_keys(
    tmp_path: Path, ending: str, label: object, named: dict[str, str]
) -> None:
    """As in ARC: the key "1" is that of the first option."""
    row = {"question": "Colour?", "choices": {"text": TEXTS, "label": ["1", "2", "3"]}, "answerKey": label}
    (found,) = drawn(tmp_path, [row], ending, **named).rows
    assert (found["target"], found["options"]) == ("a", TEXTS)


@pytest.mark.parametrize("label", ["4", 0, 4, "D", ""])
def test_a_key_that_no_option_has_is_refused(tmp_path: Path, label: object) -> None:
    row = {"question": "Colour?", "choices": {"text": TEXTS, "label": ["1", "2", "3"]}, "answerKey": label}
    (refused,) = drawn(tmp_path, [row], choices_column="choices.text").refused
    assert refused.field == "answerKey"


def test_a_number_counts_options_that_have_letters(tmp_path: Path) -> None:
    row = {"question": "Colour?", "choices": {"text": TEXTS, "label": ["A", "B", "C"]}, "label": 1}
    assert drawn(tmp_path, [row]).rows[0]["target"] == "b"
    assert drawn(tmp_path, [row | {"label": "c"}]).rows[0]["target"] == "c"


@pytest.mark.parametrize("labels", [["A", "A", "B"], ["A", "B"], "ABC"])
def test_labels_that_do_not_tell_options_apart_are_refused_where_they_are_needed(
    tmp_path: Path, labels: object
) -> None:
    row = {"question": "Colour?", "choices": {"text": TEXTS, "label": labels}, "answer": "blue"}
    assert drawn(tmp_path, [row]).rows[0]["target"] == "c"
    (refused,) = drawn(tmp_path, [row | {"answerKey": "A"}], answer_index_column="answerKey").refused
    assert "their labels are not one different key each" in refused.reason


@pytest.mark.parametrize("ending", ENDINGS)
def test_texts_by_key_are_options(tmp_path: Path, ending: str) -> None:
    """As in MedQA; a parquet has null where other rows have more options."""
    rows: list[dict[str, Any]] = [
        {"question": "Colour?", "options": {"A": "red", "B": "green", "C": None}, "answer_idx": "B", "answer": "green"},
        {"question": "Shape?", "options": {"A": "round", "B": "flat", "C": "long"}, "answer_idx": "C", "answer": "C"},
    ]
    for named in ({}, {"answer_index_column": "answer_idx"}):
        found = drawn(tmp_path, rows, ending, **named)
        assert [(row["target"], row["options"]) for row in found.rows] == [
            ("b", ["red", "green"]),
            ("c", ["round", "flat", "long"]),
        ]


def test_a_text_of_one_option_that_is_the_key_of_another_is_refused(tmp_path: Path) -> None:
    row = {"question": "Grade?", "options": {"A": "B", "B": "A"}, "answer": "A"}
    (refused,) = drawn(tmp_path, [row]).refused
    assert refused.reason == "the answer 'A' is the text of one option and the key of another"


LETTERED = {"question": "Colour?", "A": "red", "B": "green", "C": "blue", "D": "grey"}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("answer", ["B", "b", "green"])
@pytest.mark.parametrize("pattern", ["{}", "option_{}", "Option {}", "op{}"])
def test_columns_of_one_option_each_are_options(tmp_path: Path, ending: str, answer: str, pattern: str) -> None:
    row = {pattern.format(name) if len(name) == 1 else name: value for name, value in LETTERED.items()}
    row["answer"] = answer
    assert drawn(tmp_path, [row], ending, "oe").rows[0]["target"] == "green"
    (found,) = drawn(tmp_path, [row], ending).rows
    assert (found["target"], found["options"]) == ("b", ["red", "green", "blue", "grey"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_last_columns_may_be_empty(tmp_path: Path, ending: str) -> None:
    rows = [
        LETTERED | {"answer": "A"},
        LETTERED | {"answer": "C", "D": None},
        LETTERED | {"answer": "D", "D": ""},
        LETTERED | {"answer": "A", "B": ""},
        LETTERED | {"answer": "B", "A": None, "B": None, "C": None, "D": None},
        LETTERED | {"answer": "A", "B": None, "C": None, "D": None},
    ]
    found = drawn(tmp_path, rows, ending, "oe")
    assert [row["target"] for row in found.rows] == ["red", "blue"]
    assert [refused.row for refused in found.refused] == [3, 4, 5, 6]
    reasons = [refused.reason for refused in found.refused]
    assert "the answer 'D' is not among its options" in reasons[0]
    assert reasons[1:3] == [
        "'B' is empty, and an option after it is not",
        "the answer is 'B', the name of a column, and the row has no options",
    ]
    assert "at least 2 are needed" in reasons[3]


def test_numbered_answers_to_lettered_columns_count_from_zero(tmp_path: Path) -> None:
    """As in MedMCQA."""
    row = {"question": "Colour?", "opa": "red", "opb": "green", "opc": "blue", "cop": 2}
    assert drawn(tmp_path, [row], answer_index_column="cop").rows[0]["target"] == "c"


def test_letters_are_no_answers_where_their_columns_are_left_out(tmp_path: Path) -> None:
    found = drawn(tmp_path, [LETTERED | {"answer": "B"}], ".csv", "oe", choices_column="none")
    assert "'B', the name of a column" in found.refused[0].reason
    assert drawn(tmp_path, [LETTERED | {"answer": "Blue"}], ".csv", "oe", choices_column="none").rows


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_inner_field_that_is_not_there_is_refused(tmp_path: Path, ending: str) -> None:
    rows = [{"question": "Colour?", "choices": {"text": TEXTS}, "answer": "red"}]
    (refused,) = drawn(tmp_path, rows, ending, "oe", choices_column="choices.txt").refused
    assert (refused.reason, refused.field) == ("column 'choices.txt' is missing", "choices.txt")
    (found,) = drawn(tmp_path, rows, ending, choices_column="choices.text").rows
    assert found["options"] == TEXTS


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_struct_that_is_null_has_no_inner_field_to_miss(tmp_path: Path, ending: str) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "Colour?", "choices": {"text": TEXTS}, "answer": "red"},
        {"question": "Who?", "choices": None, "answer": "He"},
    ]
    found = drawn(tmp_path, rows, ending, "oe", choices_column="choices.text")
    assert (len(found.rows), found.refused) == (2, [])


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("written", [str(TEXTS), json.dumps(TEXTS), str(np.array(TEXTS, dtype=object))])
def test_lists_are_read_as_python_json_and_numpy_print_them(tmp_path: Path, written: str, ending: str) -> None:
    (row,) = drawn(tmp_path, [{"question": "Colour?", "choices": written, "answer": "red"}], ending).rows
    assert row["options"] == TEXTS


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("key", ["answer", "answerKey"])
def test_options_as_ai2_has_them_are_read_with_their_keys(tmp_path: Path, key: str, ending: str) -> None:
    choices = [{"label": label, "text": text} for label, text in zip("XYZ", TEXTS, strict=True)]
    (row,) = drawn(tmp_path, [{"question": "Colour?", "choices": choices, key: "Y"}], ending).rows
    assert (row["options"], row["target"]) == (TEXTS, "b")


def test_options_as_a_map_of_a_parquet_are_read(tmp_path: Path) -> None:
    maps = pa.array([list(zip("XYZ", TEXTS, strict=True))], type=pa.map_(pa.string(), pa.string()))
    path = tmp_path / "mine.parquet"
    parquet.write_table(pa.table({"question": ["Colour?"], "choices": maps, "answer": ["Z"]}), path)
    (row,) = Drawn(f"file:{path}", "choice").rows
    assert (row["options"], row["target"]) == (TEXTS, "c")


def test_options_whose_structs_have_no_text_are_refused(tmp_path: Path) -> None:
    rows = [{"question": "Colour?", "choices": [{"key": "A"}, {"key": "B"}], "answer": "A"}]
    (refused,) = drawn(tmp_path, rows, ".jsonl").refused
    assert refused.reason == "'choices' must have a text in the field 'text' of each option; it has key"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [(["No", "Yes"], True, "b"), (["True", "False"], False, "b"), (["yes", "no", "maybe"], True, "a")],
)
def test_a_truth_value_is_the_option_that_says_so(
    tmp_path: Path, options: list[str], answer: bool, letter: str, ending: str
) -> None:
    (row,) = drawn(tmp_path, [{"question": "Is it?", "choices": options, "answer": answer}], ending).rows
    assert row["target"] == letter


def test_several_right_options_are_refused_and_a_list_of_one_is_read(tmp_path: Path) -> None:
    rows = [{"question": "Colour?", "choices": TEXTS, "answer": answer} for answer in ([TEXTS[1]], TEXTS[:2])]
    found = drawn(tmp_path, rows, ".jsonl")
    assert [row["target"] for row in found.rows] == ["b"]
    assert "has 2 right answers; of options exactly one is right" in found.refused[0].reason
