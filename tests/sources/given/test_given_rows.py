from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
import pytest

from raycalib.errors import ConfigError, DataError
from raycalib.prompts import TARGET_PROMPT
from raycalib.records import ANSWER, LABELLED, Row
from raycalib.sources.given.given_source import GivenSource, open_given
from raycalib.sources.given.places import parse_place
from raycalib.sources.given.rows import RefusedGiven
from tests.sources.drawn import ENDINGS, write
from tests.stages.answers import answer

PLAIN = {"context": "Question: 2 + 2?", "target": "4", "output": " 4\n\nQuestion: and", "query_label": 1}


def opened(place: object, kind: Any = "labelled", style: str | None = "oe", **settings: Any) -> GivenSource:
    return open_given(parse_place(str(place)), kind=kind, model="m", style=style, **settings)


def read(place: object, kind: Any = "labelled", **settings: Any) -> tuple[list[Row], list[RefusedGiven]]:
    found = list(opened(place, kind, **settings).rows())
    return (
        [row for row in found if not isinstance(row, RefusedGiven)],
        [row for row in found if isinstance(row, RefusedGiven)],
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_plain_row_becomes_a_whole_record(tmp_path: Path, ending: str) -> None:
    ((row,), refused) = read(write(tmp_path / f"mine{ending}", [PLAIN]))
    assert refused == []
    assert set(row) == set(LABELLED.names)
    pa.Table.from_pylist([row], schema=LABELLED).validate(full=True)
    assert (row["output"], row["answer"], row["target"]) == (" 4\n\nQuestion: and", "4", "4")
    assert (row["target_prompt"], row["prompt"], row["style"], row["model"]) == (TARGET_PROMPT, "", "oe", "m")
    assert (row["source"], row["task"]) == (f"file:mine{ending}", "mine")
    assert (row["query_label"], row["grader"], row["judge"], row["retryable"]) == (1, "given", None, False)
    assert row["unscored_reason"] is None


def test_answers_are_answer_records_whose_labels_are_not_read(tmp_path: Path) -> None:
    rows, refused = read(write(tmp_path / "mine.csv", [PLAIN | {"query_label": -1}]), "answers")
    assert (set(rows[0]), refused) == (set(ANSWER.names), [])


@pytest.mark.parametrize(
    ("value", "label"),
    [(1, 1), (0, 0), (1.0, 1), (True, 1), (False, 0), ("1", 1), ("1.0", 1), ("", None), (None, None), ("NaN", None)],
)
def test_labels_that_are_read_and_labels_that_are_not_given(tmp_path: Path, value: Any, label: int | None) -> None:
    for ending in (".jsonl", ".csv"):
        ((row,), _) = read(write(tmp_path / f"mine{ending}", [PLAIN | {"query_label": value}]))
        assert row["query_label"] == label
        assert row["unscored_reason"] == (None if label is not None else "no label is given")


def test_null_labels_of_a_parquet_are_unscored(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    table = pa.table({"context": ["a", "b", "c"], "target": ["x"] * 3, "answer": ["x"] * 3})
    parquet.write_table(table.append_column("query_label", pa.array([1.0, None, float("nan")], pa.float64())), path)
    rows, _ = read(path)
    assert [row["query_label"] for row in rows] == [1, None, None]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (2, "'query_label' is 2; allowed: 1 (right), 0 (wrong), empty"),
        (0.5, "'query_label' is 0.5; allowed: 1 (right), 0 (wrong), empty"),
        ("maybe", "'query_label' is 'maybe'; allowed: 1 (right), 0 (wrong), empty"),
        ([1], "'query_label' is [1]; allowed: 1 (right), 0 (wrong), empty"),
        (10**400, "'query_label' is 1000000000"),
        (-1, "'query_label' is -1, which the paper's code writes where nothing is labelled yet"),
    ],
)
def test_any_other_label_refuses_its_row_with_the_reason(tmp_path: Path, value: Any, reason: str) -> None:
    rows, (refused,) = read(write(tmp_path / "mine.jsonl", [PLAIN, PLAIN | {"query_label": value}]))
    assert len(rows) == 1
    assert (refused.row, refused.field, refused.style) == (2, "query_label", "oe")
    assert refused.reason.startswith(reason)
    assert "Question: 2 + 2?" in refused.content


@pytest.mark.parametrize("text", ["None", "nan", "NA", "null", "True", "4.0", "[]", "#### 4", '["a"]', " x "])
@pytest.mark.parametrize("ending", ENDINGS)
def test_texts_stay_texts(tmp_path: Path, text: str, ending: str) -> None:
    lines = [PLAIN | {"context": text, "target": text, "output": text, "prompt": text, "target_prompt": text}] * 3
    rows, refused = read(write(tmp_path / f"mine{ending}", lines))
    assert refused == []
    for row in rows:
        assert [row[name] for name in ("context", "target", "output", "prompt", "target_prompt")] == [text] * 5
        assert row["answer"] == text.strip()


def test_of_output_and_answer_the_output_wins(tmp_path: Path) -> None:
    lines = [
        PLAIN | {"answer": "4"},
        PLAIN | {"answer": "5"},
        {name: value for name, value in PLAIN.items() if name != "output"} | {"answer": " one\ntwo "},
        PLAIN | {"output": "", "answer": "5"},
    ]
    rows, _ = read(write(tmp_path / "mine.jsonl", lines))
    assert [row["answer"] for row in rows] == ["4", "4", "one\ntwo", ""]
    assert rows[2]["output"] == " one\ntwo "


def test_what_is_optional_is_read_where_it_is_there(tmp_path: Path) -> None:
    more = {
        "task": "sums",
        "source": "arc",
        "prompt": "Examples.\n\n",
        "row_id": "mine",
        "aliases": ["four", "4", "IV"],
    }
    lines = [
        PLAIN | more,
        PLAIN | {"source_dataset": "boolq", "style": "choice", "target": "b", "options": ["3", "4"]},
    ]
    for ending in (".jsonl", ".csv"):
        rows, _ = read(write(tmp_path / f"mine{ending}", lines))
        names = ("task", "source", "prompt", "row_id", "aliases", "options", "style")
        assert [rows[0][name] for name in names] == [
            "sums", "arc", "Examples.\n\n", "mine", ["four", "IV"], [], "oe",
        ]  # fmt: skip
        assert [rows[1][name] for name in ("task", "source", "options", "aliases", "style")] == [
            "boolq", "boolq", ["3", "4"], None, "choice",
        ]  # fmt: skip


def test_several_right_answers_and_none(tmp_path: Path) -> None:
    lines = [
        PLAIN | {"target": ["Rome", "Roma"]},
        PLAIN | {"target": "", "aliases": ["Rome", "Roma"]},
        PLAIN | {"target": " "},
        PLAIN | {"context": ""},
        PLAIN | {"output": None},
        PLAIN | {"style": "essay"},
        PLAIN | {"options": ["a", "a"], "style": "choice"},
    ]
    rows, refused = read(write(tmp_path / "mine.jsonl", lines))
    assert [(row["target"], row["aliases"]) for row in rows] == [("Rome", ["Roma"])] * 2
    assert [row.reason for row in refused] == [
        "'target' is empty",
        "'context' is empty",
        "'output' is empty",
        "'style' is 'essay'; allowed: oe, choice",
        "'options': options (a) and (b) are equal",
    ]
    assert not any(row.expected for row in refused)


def test_whole_numbers_that_a_table_with_nulls_has_as_fractions(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    numbers = pa.array([4.0, None, 7.0], pa.float64())
    parquet.write_table(pa.table({"context": ["a", "b", "c"], "target": numbers, "output": numbers}), path)
    rows, refused = read(path, "answers")
    assert [(row["target"], row["answer"]) for row in rows] == [("4", "4"), ("7", "7")]
    assert len(refused) == 1


def test_ids_are_of_the_content_and_unique(tmp_path: Path) -> None:
    lines = [PLAIN, PLAIN | {"query_label": 0}, PLAIN | {"output": "5"}, *[PLAIN | {"row_id": "x"}] * 2]
    rows, _ = read(write(tmp_path / "a.jsonl", lines))
    moved, _ = read(write(tmp_path / "b.csv", [lines[2], lines[0]]))
    ids = [row["row_id"] for row in rows]
    assert len(set(ids)) == 5
    assert ids[3] == "x"
    assert [row["row_id"] for row in moved] == [ids[2], ids[0]]
    assert len({row["group"] for row in rows}) == 1


def record(row_id: str, **values: Any) -> Row:
    label = {
        "query_label": 0, "grader": "judge", "unscored_reason": None, "judge": "gpt", "judge_prompt": "v1",
        "judged_on": "2026-01-01", "verdict": "no", "retryable": False,
    }  # fmt: skip
    return answer(row_id, "Rome", "Roma") | {"split": "mmlu", "model": "other", "log_likelihood": -1.5} | label | values


@pytest.mark.parametrize("ending", ENDINGS)
def test_whole_records_are_taken_as_they_are(tmp_path: Path, ending: str) -> None:
    records = [record("a"), record("b", split="val_select", query_label=None, unscored_reason="no verdict")]
    path = write(tmp_path / f"mine{ending}", records)
    rows, refused = read(path)
    assert (rows, refused) == (records, [])
    answers, _ = read(path, "answers")
    assert answers == [{name: row[name] for name in ANSWER.names} for row in records]


def test_an_answer_record_with_a_label_beside_it_keeps_its_columns(tmp_path: Path) -> None:
    records = [
        answer("a", "Rome", "Roma") | {"query_label": 1},
        answer("b", "Rome", "", error="out of memory") | {"query_label": None},
    ]
    rows, refused = read(write(tmp_path / "mine.jsonl", records))
    assert refused == []
    assert [{name: row[name] for name in ANSWER.names} for row in rows] == [
        {name: row[name] for name in ANSWER.names} for row in records
    ]
    assert [(row["query_label"], row["unscored_reason"], row["grader"]) for row in rows] == [
        (1, None, "given"),
        (None, "no answer: out of memory", "given"),
    ]


def test_a_record_with_a_value_of_another_kind_is_refused_alone(tmp_path: Path) -> None:
    records = [
        record("a", n_cut="many"),
        record("b", options=[1]),
        record("c", style="essay"),
        record("d", query_label=3),
        record("e", context="\udcff"),
        record("f"),
    ]
    rows, refused = read(write(tmp_path / "mine.jsonl", records))
    assert [row["row_id"] for row in rows] == ["f"]
    assert [row.field for row in refused] == ["n_cut", "options", "style", "query_label", "context"]


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = write(tmp_path / "other.csv", [{"question": "?", "target": "Rome", "prediction": "Rome"}])
    with pytest.raises(DataError) as caught:
        opened(path)
    message = str(caught.value)
    assert "has no column 'context' and no 'output' or 'answer' and no 'query_label'" in message
    assert "it has question, target, prediction; context is the question as the model read it" in message
    assert message.endswith("answers without labels come in by --answers")
    with pytest.raises(DataError, match=r"no 'output' or 'answer'; it has question, target, prediction; context is"):
        opened(path, "answers")


def test_a_file_without_rows_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").touch()
    with pytest.raises(DataError, match="has no rows"):
        opened(tmp_path / "mine.jsonl")


def test_a_style_must_be_said_by_the_rows_or_beside_them(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [PLAIN])
    with pytest.raises(ConfigError, match=r"has no column 'style'; say how .* --styles oe or choice"):
        opened(path, style=None)
    with pytest.raises(ConfigError, match="'essay' is unknown"):
        opened(path, style="essay")
    rows, refused = read(write(tmp_path / "said.csv", [PLAIN | {"style": "choice"}, PLAIN | {"style": ""}]), style=None)
    assert ([row["style"] for row in rows], len(refused)) == (["choice"], 1)


def test_an_unknown_split_is_one_line_with_the_row_and_what_is_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [PLAIN | {"split": "Dev"}, PLAIN | {"split": "extra"}])
    with pytest.raises(
        DataError, match=r"row 2 has the split 'extra'; allowed: train, training, validation, val, .*test"
    ):
        opened(path)


def test_splits_of_rows_are_as_they_say_and_dealt_where_they_do_not(tmp_path: Path) -> None:
    lines = [PLAIN | {"context": f"{index}?", "split": name} for index in range(200) for name in ("training", "test")]
    rows, _ = read(write(tmp_path / "two.csv", lines))
    assert {row["split"] for row in rows[::2]} == {"train", "val_select", "val_calibrate"}
    assert {row["split"] for row in rows[1::2]} == {"test"}
    lines = [line | {"split": "dev" if line["split"] == "test" else "train"} for line in lines]
    rows, _ = read(write(tmp_path / "three.csv", lines))
    assert {row["split"] for row in rows[::2]} == {"train"}
    assert {row["split"] for row in rows[1::2]} == {"val_select", "val_calibrate"}
    of_question = {row["context"]: row["split"] for row in rows[1::2]}
    again, _ = read(write(tmp_path / "turned.csv", lines[::-1]))
    assert {row["context"]: row["split"] for row in again if row["split"] != "train"} == of_question


def test_the_line_of_what_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [PLAIN | {"split": "test", "task": "t", "extra": "x"}])
    assert opened(path).describe() == (
        f"labelled: {path}: 1 table, columns context, target, output (its first line is the answer), query_label, "
        "split, task; splits as the rows say; answers of m"
    )
    whole = write(tmp_path / "whole.jsonl", [record("a")])
    assert "whole records, taken as they are; splits as the rows say" in opened(whole).describe()


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one = opened(write(tmp_path / "one.csv", [PLAIN]))
    same = opened(write(tmp_path / "two.csv", [PLAIN]))
    other = opened(write(tmp_path / "three.csv", [PLAIN | {"target": "5"}]))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert one.identity() != same.identity()  # the records' source is the file's name
