"""Answers in own files stay the texts that they are."""

import json
from pathlib import Path

import pytest

from raycalib.errors import DataError
from raycalib.sources.own_file import check_file, file_questions


@pytest.mark.parametrize("answer", ["007", "1.50", "true", "12:30", "2020-01-01", "1e3", "0x10"])
def test_csv_answers_are_text_as_written(tmp_path: Path, answer: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"question,answer,split\nWho?,{answer},test\n")
    (row,) = file_questions(path, "oe", "test", 0, None)
    assert row["target"] == answer


@pytest.mark.parametrize("answer", ["NA", "null", "NULL", "nan"])
def test_csv_answers_that_look_missing_are_text(tmp_path: Path, answer: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"question,answer,split\nWho?,{answer},test\n")
    (row,) = file_questions(path, "oe", "test", 0, None)
    assert row["target"] == answer


def test_jsonl_dates_are_text_as_written(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"question": "When?", "answer": "2020-01-01", "split": "test"}) + "\n")
    (row,) = file_questions(path, "oe", "test", 0, None)
    assert row["target"] == "2020-01-01"


def test_jsonl_timestamps_are_text_as_written(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(
        json.dumps(
            {
                "question": "When?",
                "answer": "2020-01-01 10:00:00",
                "options": ["2020-01-01 10:00:00", "2020-01-02 10:00:00"],
                "split": "test",
            }
        )
        + "\n"
    )
    (row,) = file_questions(path, "choice", "test", 0, None)
    assert row["options"][0] == "2020-01-01 10:00:00"
    assert row["target"] == "a"


def test_the_same_row_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text((json.dumps({"question": "Who?", "answer": "He", "split": "test"}) + "\n") * 2)
    with pytest.raises(DataError, match="rows 1 and 2 ask the same"):
        check_file(path)


def test_options_named_twice_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"question": "Who?", "answer": "He", "options": ["He", "He"], "split": "test"}) + "\n")
    with pytest.raises(DataError):
        check_file(path)


def test_a_record_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("question,answer\n")
    with pytest.raises(DataError):
        check_file(path)


def test_a_jsonl_of_mixed_answer_types(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "a", "answer": 4}\n{"question": "b", "answer": "four"}\n')
    check_file(path)
