import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
import pytest

from raycalib.errors import DataError
from raycalib.records import QUESTION, Row
from raycalib.sources.own_file import DEFAULT_SPLITS, check_file, file_questions

RECORDS: list[dict[str, Any]] = [
    {"question": "2 + 2?", "answer": "4", "options": ["3", "4"], "task": "sums", "split": "train"},
    {"question": "Largest planet?", "answer": "Jupiter", "options": None, "task": None, "split": "train"},
    {
        "question": "Capital of Peru?",
        "answer": "Lima",
        "options": ["Lima", "Quito", "Oslo"],
        "task": "x",
        "split": "test",
    },
]


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    """A jsonl, csv or parquet file with these records; csv cannot hold lists and leaves the options out."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".csv":
        names = [name for name in records[0] if name != "options"]
        rows = [",".join(str(record[name] or "") for name in names) for record in records]
        path.write_text("\n".join([",".join(names), *rows]) + "\n")
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def all_rows(path: Path, style: str, seed: int = 0) -> dict[str, list[Row]]:
    return {split: file_questions(path, style, split, seed, None) for split, _ in DEFAULT_SPLITS}


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_rows_of_jsonl_and_parquet(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"mine{ending}", RECORDS)
    rows = sorted(file_questions(path, "oe", "train", 0, None), key=lambda row: str(row["target"]))
    assert [row["context"] for row in rows] == ["Question: 2 + 2?", "Question: Largest planet?"]
    assert [row["target"] for row in rows] == ["4", "Jupiter"]
    assert [row["task"] for row in rows] == ["sums", "mine"]
    assert {row["source"] for row in rows} == {f"file:mine{ending}"}
    assert [row["options"] for row in rows] == [[], []]
    (choice,) = file_questions(path, "choice", "test", 0, None)
    assert choice["target"] == "a"
    assert choice["options"] == ["Lima", "Quito", "Oslo"]
    assert choice["context"] == "Question:\nCapital of Peru?\n\nChoices:\n  (a): Lima\n  (b): Quito\n  (c): Oslo"


def test_rows_of_csv(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", RECORDS)
    (row,) = file_questions(path, "oe", "test", 0, None)
    assert (row["context"], row["target"], row["task"]) == ("Question: Capital of Peru?", "Lima", "x")
    assert file_questions(path, "choice", "test", 0, None) == []


def test_rows_without_options_have_no_choice_question(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", RECORDS)
    (row,) = file_questions(path, "choice", "train", 0, None)
    assert (row["target"], row["options"]) == ("b", ["3", "4"])


def test_rows_fit_the_schema(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", RECORDS)
    rows = file_questions(path, "oe", "train", 0, None)
    assert pa.Table.from_pylist(rows, schema=QUESTION).to_pylist() == rows


def test_numbers_are_read_as_text(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"question": "2 + 2?", "answer": 4, "options": [3, 4], "split": "test"}])
    (row,) = file_questions(path, "choice", "test", 0, None)
    assert (row["target"], row["options"]) == ("b", ["3", "4"])


def test_rows_are_dealt_by_question_and_seed(tmp_path: Path) -> None:
    records = [{"question": f"Question {index}?", "answer": str(index)} for index in range(2000)]
    path = write(tmp_path / "mine.jsonl", records)
    dealt = all_rows(path, "oe", seed=0)
    assert sum(map(len, dealt.values())) == 2000
    for split, share in DEFAULT_SPLITS:
        # Five standard errors of a binomial share.
        assert abs(len(dealt[split]) / 2000 - share) < 5 * (share * (1 - share) / 2000) ** 0.5
    other = all_rows(path, "oe", seed=1)
    assert {row["context"] for row in dealt["train"]} != {row["context"] for row in other["train"]}
    shuffled = write(tmp_path / "shuffled.jsonl", records[::-1])
    assert {row["context"] for row in all_rows(shuffled, "oe", seed=0)["train"]} == {
        row["context"] for row in dealt["train"]
    }


def test_a_question_asked_twice_stays_in_one_split(tmp_path: Path) -> None:
    records = [{"question": f"Question {index % 50}?", "answer": str(index)} for index in range(100)]
    dealt = all_rows(write(tmp_path / "mine.jsonl", records), "oe")
    for split, rows in dealt.items():
        for other, others in dealt.items():
            assert split == other or not {row["group"] for row in rows} & {row["group"] for row in others}


def test_row_ids_are_unique_and_stable(tmp_path: Path) -> None:
    records = [{"question": f"Question {index}?", "answer": "x", "options": ["x", "y"]} for index in range(100)]
    path = write(tmp_path / "mine.jsonl", records)
    renamed = write(tmp_path / "renamed.jsonl", records)
    ids = [row["row_id"] for style in ("oe", "choice") for rows in all_rows(path, style).values() for row in rows]
    again = [row["row_id"] for style in ("oe", "choice") for rows in all_rows(renamed, style).values() for row in rows]
    assert len(set(ids)) == 200
    assert ids == again


def test_a_limit_takes_the_first_of_the_same_order(tmp_path: Path) -> None:
    records = [{"question": f"Question {index}?", "answer": "x", "split": "test"} for index in range(20)]
    path = write(tmp_path / "mine.jsonl", records)
    every = file_questions(path, "oe", "test", 0, None)
    assert file_questions(path, "oe", "test", 0, 5) == every[:5]
    assert [row["context"] for row in every] != [f"Question: Question {index}?" for index in range(20)]


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("column", ["question", "answer"])
def test_a_missing_column_is_named(tmp_path: Path, ending: str, column: str) -> None:
    record = {"question": "Who?", "answer": "He", "task": "x"}
    record["other"] = record.pop(column)
    path = write(tmp_path / f"mine{ending}", [record])
    with pytest.raises(
        DataError, match=rf"{path} lacks the column '{column}'; it has .*other.*needed: question, answer"
    ):
        check_file(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": ""}, "row 2: 'answer' is empty"),
        ({"answer": "  "}, "row 2: 'answer' is empty"),
        ({"answer": None}, "row 2: 'answer' is empty"),
        ({"question": ""}, "row 2: 'question' is empty"),
        ({"options": ["5", "6"]}, "row 2: the answer '4' is not among its options"),
        ({"options": ["4"]}, "row 2: 'options' must be a list of 2 to 10 texts"),
        ({"options": [str(number) for number in range(11)]}, "row 2: 'options' must be a list of 2 to 10 texts"),
        ({"split": "tset"}, "row 2: split 'tset' is unknown; allowed: train, val_select, val_calibrate, test, heldout"),
    ],
)
@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_bad_row_is_named(tmp_path: Path, ending: str, change: dict[str, Any], message: str) -> None:
    good = {"question": "2 + 2?", "answer": "4", "options": ["3", "4"], "split": "test"}
    path = write(tmp_path / f"mine{ending}", [good, good | change])
    with pytest.raises(DataError, match=message) as raised:
        check_file(path)
    assert str(path) in str(raised.value)


def test_options_as_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("question,answer,options\n2 + 2?,4,3 4\n")
    with pytest.raises(DataError, match="row 1: 'options' must be a list"):
        check_file(path)


@pytest.mark.parametrize("name", ["mine.txt", "mine", "mine.json", "mine.CSV"])
def test_another_ending_is_refused_with_those_allowed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("question,answer\n")
    with pytest.raises(DataError, match=r"has the ending '.*'; allowed: \.jsonl, \.csv, \.parquet"):
        check_file(tmp_path / name)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_a_missing_file_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"absent{ending}"
    with pytest.raises(DataError, match=rf"the file {path} does not exist"):
        check_file(path)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe not a table {"])
def test_an_unreadable_file_is_a_data_error_in_one_line(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"mine{ending}"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        check_file(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
