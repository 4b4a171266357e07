from pathlib import Path
import re
from typing import Any

import pytest

from raycalib.errors import DataError
from raycalib.sources import SourceSettings, describe_source
from raycalib.sources.own.columns import ColumnNames, find_columns
from tests.sources.drawn import ENDINGS, Drawn, write


def only(row: dict[str, Any], tmp_path: Path, style: str = "choice", ending: str = ".jsonl", **columns: str) -> Drawn:
    return Drawn(f"file:{write(tmp_path / f'mine{ending}', [row])}", style, **columns)


@pytest.mark.parametrize(
    ("names", "described"),
    [
        (["question", "answer"], "question is 'question', answer is 'answer'"),
        (["Problem", "Target", "id"], "question is 'Problem', answer is 'Target'"),
        (["query", "choices", "label"], "question is 'query', choices is 'choices', answer_index is 'label'"),
        (["question", "answer", "label"], "question is 'question', answer is 'answer'"),
        (["passage", "question", "gold"], "question is 'question', answer is 'gold', context is 'passage'"),
        (["prompt", "query", "output"], "question is 'query', answer is 'output'"),
        (
            ["question", "A", "B", "C", "answer"],
            "question is 'question', answer is 'answer', choices is 'A', 'B', 'C'",
        ),
        (["question", "A", "C", "answer"], "question is 'question', answer is 'answer'"),
    ],
)
def test_usual_names_are_found(names: list[str], described: str) -> None:
    assert find_columns("x", names, ColumnNames()).describe() == described


def test_named_columns_come_first() -> None:
    found = find_columns("x", ["question", "q2", "answer", "n"], ColumnNames(question="q2", answer_index="n"))
    assert (found.question, found.answer, found.answer_index) == ("q2", "answer", "n")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("column", ["question", "answer"])
def test_a_missing_column_is_named(tmp_path: Path, ending: str, column: str) -> None:
    record = {"question": "Who?", "answer": "He", "task": "x"}
    record["other"] = record.pop(column)
    path = write(tmp_path / f"mine{ending}", [record])
    message = rf"{re.escape(str(path))} lacks the column '{column}'; it has .*other.*needed: question, answer"
    with pytest.raises(DataError, match=message):
        Drawn(f"file:{path}")


def test_a_column_named_wrongly_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks the column 'text' that question_column names; it has q, answer"):
        only({"q": "Who?", "answer": "He"}, tmp_path, question_column="text")


@pytest.mark.parametrize("label", [1, "1", "B", "b"])
@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_an_index_is_a_number_or_a_letter(tmp_path: Path, label: object, ending: str) -> None:
    row = {"problem": "2 + 2?", "choices": ["3", "4", "5"], "answer_index": label}
    assert only(row, tmp_path, ending=ending).rows[0]["target"] == "b"
    assert only(row, tmp_path, "oe", ending=ending).rows[0]["target"] == "4"


@pytest.mark.parametrize("label", [3, -2, "D", "x4", "", None, True, 1.5])
def test_an_index_out_of_range_is_refused(tmp_path: Path, label: object) -> None:
    drawn = only({"problem": "2 + 2?", "choices": ["3", "4", "5"], "answer_index": label}, tmp_path)
    (refused,) = drawn.refused
    assert refused.field == "answer_index"
    assert "answer_index" in refused.reason


def test_an_answer_column_with_an_index_wants_its_name(tmp_path: Path) -> None:
    row = {"question": "2 + 2?", "choices": ["three", "four"], "answer": 1}
    (refused,) = only(row, tmp_path).refused
    assert "name it as answer_index_column" in refused.reason
    assert only(row, tmp_path, answer_index_column="answer").rows[0]["target"] == "b"


def test_options_with_keys_of_their_own(tmp_path: Path) -> None:
    row = {"question": "2 + 2?", "choices": {"text": ["3", "4"], "label": ["1", "2"]}, "answerKey": "2"}
    assert only(row, tmp_path).rows[0]["target"] == "b"
    nested = {"question": "2 + 2?", "options": {"shown": ["3", "4"]}, "answer": "3"}
    assert only(nested, tmp_path, choices_column="options.shown").rows[0]["target"] == "a"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_column_whose_name_holds_a_dot(tmp_path: Path, ending: str) -> None:
    row = {"q.text": "Who?", "answer": "He", "q": "no"}
    assert only(row, tmp_path, "oe", ending, question_column="q.text").rows[0]["context"] == "Question: Who?"
    row.pop("q")
    assert only(row, tmp_path, "oe", ending, question_column="q.text").rows[0]["context"] == "Question: Who?"


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_context_may_be_paragraphs(tmp_path: Path, ending: str) -> None:
    row = {"question": "Wet?", "answer": "yes", "context": ["It rained.", "It pours."]}
    assert only(row, tmp_path, "oe", ending).rows[0]["context"] == "Context: It rained.\n\nIt pours.\nQuestion: Wet?"
    inner = {"question": "Wet?", "answer": "yes", "context": {"contexts": ["It rained."], "labels": ["x"]}}
    found = only(inner, tmp_path, "oe", ending, context_column="context.contexts")
    assert found.rows[0]["context"] == "Context: It rained.\nQuestion: Wet?"


@pytest.mark.parametrize(
    ("meaning", "value"),
    [("context", {"a": 1}), ("context", [["x"]]), ("task", ["x"]), ("options", {"a": [1]}), ("split", "easy")],
)
def test_a_column_that_is_not_what_it_seems_can_be_left_out(tmp_path: Path, meaning: str, value: object) -> None:
    row = {"question": "Wet?", "answer": "yes", meaning: value}
    flag = f"{'choices' if meaning == 'options' else meaning}_column"
    (refused,) = only(row, tmp_path, "oe").refused
    assert refused.field == meaning
    assert f"give {flag} another name, or 'none'" in refused.reason
    found = only(row, tmp_path, "oe", **{flag: "none"})
    assert [row["context"] for row in found.rows] == ["Question: Wet?"]


def test_none_is_a_name_where_a_column_has_it(tmp_path: Path) -> None:
    row = {"question": "Wet?", "answer": "yes", "none": "It rained.", "context": "No."}
    assert "It rained." in only(row, tmp_path, "oe", context_column="none").rows[0]["context"]


def test_a_needed_column_cannot_be_left_out(tmp_path: Path) -> None:
    for column in ("question", "answer"):
        with pytest.raises(DataError, match=rf"lacks the column '{column}'"):
            only({"question": "Wet?", "answer": "yes"}, tmp_path, "oe", **{f"{column}_column": "none"})
    row = {"question": "Wet?", "answer": "B", "choices": ["no", "yes"], "label": 0}
    assert only(row, tmp_path, answer_column="none").rows[0]["target"] == "a"


def test_a_context_stands_before_the_question(tmp_path: Path) -> None:
    row = {"passage": "It rained.", "question": "Wet?", "answer": "yes", "choices": ["no", "yes"]}
    assert only(row, tmp_path, "oe").rows[0]["context"] == "Context: It rained.\nQuestion: Wet?"
    assert only(row, tmp_path).rows[0]["context"].startswith("Context:\nIt rained.\n\nQuestion:\nWet?\n\nChoices:")


def test_the_mapping_is_described(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [{"query": "Who?", "target": "He"}])
    assert describe_source(SourceSettings(name=f"file:{path}+facts"), 0) == [
        "file:mine.csv: question is 'query', answer is 'target'"
    ]


def test_a_dataset_of_ones_own_below_the_data_root(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        rows = [{"query": f"{split} {index}?", "answer": "x"} for index in range(20)]
        write(tmp_path / "org" / "name" / "easy" / f"{split}.parquet", rows)
    drawn = Drawn("hub:org/name:easy", data_root=str(tmp_path))
    assert {row["source"] for row in drawn.rows} == {"hub:org/name:easy"}
    assert (
        len(drawn.split("train")) == len(drawn.split("test")) == len(drawn.split("val_select", "val_calibrate")) == 20
    )
    assert all("dev" in row["context"] for row in drawn.split("val_select", "val_calibrate"))


def test_a_dataset_with_one_split_is_dealt_whole(tmp_path: Path) -> None:
    write(tmp_path / "org" / "name" / "train.csv", [{"query": f"{index}?", "answer": "x"} for index in range(100)])
    drawn = Drawn("hub:org/name", data_root=str(tmp_path))
    assert {row["split"] for row in drawn.rows} == {"train", "val_select", "val_calibrate", "test"}
    with pytest.raises(DataError, match=r"source hub:org/other: .* has the splits none; needed: train, validation"):
        Drawn("hub:org/other", data_root=str(tmp_path))
