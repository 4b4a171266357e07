"""The right answer as its writer meant it, alike in jsonl, csv and parquet."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
import json
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
import numpy as np
import pyarrow as pa
from pyarrow import parquet
import pytest

from raycalib.sources import SourceSettings, describe_source
from raycalib.sources.files.raw_row import CsvCell, RawRow
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.own.given_answers import GivenAnswers
from raycalib.sources.own.listed import fields_of, listed
from raycalib.sources.own.right_answers import RightAnswers
from tests.sources.drawn import ENDINGS, Drawn, check_counts, write

Right = tuple[str, list[str] | None]


def right(
    tmp_path: Path, values: list[Any], ending: str = ".jsonl", column: str = "answer", **more: Any
) -> list[Right]:
    """The right answers that the values of one column become."""
    rows = [{"question": f"Which is {index}?", column: value, **more} for index, value in enumerate(values)]
    found = Drawn(f"file:{write(tmp_path / f'mine{ending}', rows)}")
    check_counts(found)
    assert found.refused == []
    return [(row["target"], row["aliases"]) for row in found.rows]


def of_arrow(tmp_path: Path, values: pa.Array) -> list[str]:
    path = tmp_path / "mine.parquet"
    questions = [f"Which is {index}?" for index in range(len(values))]
    parquet.write_table(pa.table({"question": questions, "answer": values}), path)
    found = Drawn(f"file:{path}")
    assert found.refused == []
    return [row["target"] for row in found.rows]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([0.1, 1e-7, 16777216.0, 3.14159274], pa.float32()), ["0.1", "1e-07", "16777216.0", "3.1415927"]),
        (pa.array(np.array([0.1, 2.5], np.float16)), ["0.1", "2.5"]),
        (pa.array([0.1, 1 / 3], pa.float64()), ["0.1", "0.3333333333333333"]),
        (pa.array([4.0, 7.0], pa.float32()), ["4", "7"]),
        (pa.array([Decimal("1.50"), Decimal("100.00"), Decimal("-0.00")]), ["1.5", "100", "0"]),
        (
            pa.array([Decimal("123456789012345678901234567890.1250"), Decimal(10) ** 33], pa.decimal256(40, 4)),
            ["123456789012345678901234567890.125", f"1{'0' * 33}"],
        ),
        (pa.array([date(2020, 1, 31)]), ["2020-01-31"]),
        (pa.array([datetime(2020, 1, 31), datetime(1999, 12, 1)]), ["2020-01-31", "1999-12-01"]),
        (
            pa.array([datetime(2020, 1, 31), datetime(1999, 12, 1, 9, 30)]),
            ["2020-01-31 00:00:00", "1999-12-01 09:30:00"],
        ),
        (pa.array([datetime(2020, 1, 31, tzinfo=UTC)]), ["2020-01-31"]),
        (pa.array([np.datetime64("2020-01-31", "ns")]), ["2020-01-31"]),
        (pa.array([time(9, 5)]), ["09:05:00"]),
        (pa.array([timedelta(hours=26, seconds=5), timedelta(minutes=-90)]), ["1 day, 2:00:05", "-1:30:00"]),
        (pa.array([b"Amber", "Käse".encode()]), ["Amber", "Käse"]),
        (pa.array(["Amber", "Basalt"]).dictionary_encode(), ["Amber", "Basalt"]),
        (pa.array([[0.1, 0.2]], pa.list_(pa.float32())), ["0.1"]),
        (pa.array([{"value": 0.1}], pa.struct([("value", pa.float32())])), ["0.1"]),
    ],
)
def test_values_of_a_parquet_are_written_as_their_writer_saw_them(
    tmp_path: Path, values: pa.Array, texts: list[str]
) -> None:
    assert of_arrow(tmp_path, values) == texts


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_a_narrow_float_reads_back_and_none_is_shorter_than_numpys(numbers: list[float]) -> None:
    from raycalib.sources.files.arrow_rows import arrow_rows

    rows = list(arrow_rows(pa.table({"x": pa.array(numbers, pa.float32())}), 0))
    for row, number in zip(rows, numbers, strict=True):
        assert np.float32(repr(row.values["x"])) == np.float32(number)
        assert float(repr(row.values["x"])) == float(str(np.float32(number)))


SEVERAL: list[tuple[str, Any, Right]] = [
    ("nq", ["Amber", "amber", "Amber"], ("Amber", ["amber"])),
    ("one", ["Amber"], ("Amber", None)),
    ("nulls", [None, "Amber", "", "amber"], ("Amber", ["amber"])),
    ("numbers", [3, 4], ("3", ["4"])),
    ("triviaqa", {"value": "Amber", "aliases": ["Amber", "Ambre"], "type": "W"}, ("Amber", ["Ambre"])),
    ("squad", {"text": ["Amber", "the amber"], "answer_start": [1, 2]}, ("Amber", ["the amber"])),
    ("dpr", [{"text": "Amber", "answer_start": 3}, {"text": "amber", "answer_start": 9}], ("Amber", ["amber"])),
]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("column", ["answer", "answers", "possible_answers"])
@pytest.mark.parametrize(("name", "value", "expected"), SEVERAL, ids=[name for name, _, _ in SEVERAL])
def test_several_right_answers_are_read(
    tmp_path: Path, name: str, value: Any, expected: Right, column: str, ending: str
) -> None:
    if name in ("numbers", "dpr") and ending == ".csv":
        pytest.skip("a list without quoted texts alone is a text in a csv, which the run says")
    assert right(tmp_path, [value] * 3, ending, column) == [expected] * 3


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(["Amber", "amber's"]),
        str(["Amber", "amber's"]),
        str(np.array(["Amber", "amber's"], dtype=object)),
        repr(np.array(["Amber", "amber's"], dtype=object)),
        str({"text": np.array(["Amber", "amber's"], dtype=object), "answer_start": np.array([3, 4], dtype=np.int32)}),
        json.dumps({"value": "Amber", "aliases": ["amber's"]}),
    ],
)
def test_lists_written_out_are_lists(tmp_path: Path, text: str, ending: str) -> None:
    assert right(tmp_path, [text, text, "plain"], ending) == [("Amber", ["amber's"])] * 2 + [("plain", None)]


def test_a_column_of_lists_is_named_and_a_broken_one_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [{"question": "?", "answers": text} for text in ('["a"]', '["b"]', '["c')])
    (line,) = describe_source(SourceSettings(name=f"file:{path}"), 0)
    assert line.endswith("answer is 'answers'; 'answers' holds lists as texts: each text of one is right")
    (refused,) = Drawn(f"file:{path}").refused
    assert refused.reason == "'answers' holds lists, and '[\"c' cannot be read as one"


@pytest.mark.parametrize("text", ["[0, 1]", "[0,1)", "{1, 2}", "[a, b]", "[]x"])
def test_what_may_be_one_answer_stays_one(tmp_path: Path, text: str) -> None:
    assert right(tmp_path, [text] * 3, ".csv") == [(text, None)] * 3


def test_few_lists_among_texts_are_texts(tmp_path: Path) -> None:
    assert right(tmp_path, ['["a"]', "b", "c"])[0] == ('["a"]', None)


def test_outer_spaces_are_not_meant(tmp_path: Path) -> None:
    assert right(tmp_path, [[" Amber ", "amber\n"]]) == [("Amber", ["amber"])]


def test_an_empty_list_is_no_right_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"question": "?", "answers": {"text": [], "answer_start": []}}])
    (refused,) = Drawn(f"file:{path}").refused
    assert refused.reason == "'answers' is empty"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_column_of_aliases_adds_right_answers(tmp_path: Path, ending: str) -> None:
    assert right(tmp_path, ["Amber"], ending, aliases=["Ambre", "Amber"]) == [("Amber", ["Ambre"])]
    rows = [{"question": "?", "answer": "Amber", "also": ["Ambre"]}]
    path = write(tmp_path / f"named{ending}", rows)
    (row,) = Drawn(f"file:{path}", aliases_column="also").rows
    assert row["aliases"] == ["Ambre"]
    (row,) = Drawn(f"file:{path}").rows
    assert row["aliases"] is None


def test_aliases_are_of_the_open_ended_style_alone(tmp_path: Path) -> None:
    rows = [{"question": "?", "answer": "Amber", "choices": ["Amber", "Coal"], "aliases": ["Ambre"]}]
    path = write(tmp_path / "mine.jsonl", rows)
    assert [row["aliases"] for style in ("oe", "choice") for row in Drawn(f"file:{path}", style).rows] == [
        ["Ambre"],
        None,
    ]


@pytest.mark.parametrize("ending", ENDINGS)
def test_truth_values_are_yes_and_no(tmp_path: Path, ending: str) -> None:
    rows = [
        {"question": "is it so", "answer": True},
        {"question": "Is it?", "answer": False},
        {"question": "True or false: it is.", "answer": False},
    ]
    found = Drawn(f"file:{write(tmp_path / f'mine{ending}', rows)}").rows
    assert [(row["target"], row["aliases"]) for row in found] == [
        ("Yes", ["True"]),
        ("No", ["False"]),
        ("False", ["No"]),
    ]


def test_truth_values_among_other_texts_are_texts(tmp_path: Path) -> None:
    assert right(tmp_path, ["true", "Amber"], ".csv") == [("true", None), ("Amber", None)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_worked_solution_gives_its_final_answer(tmp_path: Path, ending: str) -> None:
    rows = [{"question": "2 * 3?", "answer": "2 * 3 = 6\n#### 6"}]
    path = write(tmp_path / f"mine{ending}", rows)
    (row,) = Drawn(f"file:{path}").rows
    assert (row["target"], row["aliases"], row["solution"]) == ("6", None, "2 * 3 = 6\n#### 6")
    (line,) = describe_source(SourceSettings(name=f"file:{path}"), 0)
    assert "what is behind '####' is right" in line


def test_the_column_of_several_answers_gives_way_to_options_with_a_key(tmp_path: Path) -> None:
    rows = [{"question": "?", "choices": ["a1", "b1"], "label": 1, "answers": ["x", "y"]}]
    path = write(tmp_path / "mine.jsonl", rows)
    (row,) = Drawn(f"file:{path}", "choice").rows
    assert row["target"] == "b"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_a_list_reads_back_however_it_was_printed(texts: list[str]) -> None:
    assert listed(json.dumps(texts)) == texts
    assert listed(repr(texts)) == texts
    assert fields_of(json.dumps({"text": texts})) == {"text": texts}


@given(st.text())
@example("[]")
def test_no_text_breaks_the_reading_of_lists(text: str) -> None:
    for given_text in (text, f"[{text}]", f"{{{text}}}", f"['{text}']"):
        assert listed(given_text) is None or all(isinstance(part, str) for part in listed(given_text) or [])
        fields_of(given_text)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"target": "Amber"}, ("Amber", ())),
        ({"target": ["Amber", "amber"]}, ("Amber", ("amber",))),
        ({"target": '["Amber", "amber"]'}, ("Amber", ("amber",))),
        ({"target": "[0, 1]"}, ("[0, 1]", ())),
        ({"target": "Amber", "aliases": ["amber", " "]}, ("Amber", ("amber",))),
        ({"target": " ", "aliases": ["", "amber", "Amber"]}, ("amber", ("Amber",))),
        ({"target": {"value": "Amber", "aliases": ["amber"]}}, ("Amber", ("amber",))),
        ({"target": 4}, ("4", ())),
        ({"target": 4.0}, ("4", ())),
        ({"target": CsvCell("true")}, ("Yes", ("True",))),
        ({"target": "2 * 3 = 6\n#### 6"}, ("6", (), "2 * 3 = 6\n#### 6")),
        ({"target": " "}, None),
        ({"target": None, "aliases": [None, ""]}, None),
        ({}, None),
    ],
)
def test_the_targets_of_given_answers_are_read_alike(values: dict[str, Any], expected: tuple[Any, ...] | None) -> None:
    found = GivenAnswers([RawRow(1, values)]).right(values, "Which?")
    assert found == (None if expected is None else RightAnswers(*expected))


@pytest.mark.parametrize(
    "values", [{"target": {"a": 1}}, {"target": "Amber", "aliases": [{"a": "amber"}]}, {"target": "A\0", "aliases": []}]
)
def test_what_can_be_no_right_answer_of_a_given_answer_is_said(values: dict[str, Any]) -> None:
    with pytest.raises(UnusableRowError, match=r"'(target|aliases)' holds"):
        GivenAnswers([RawRow(1, values)]).right(values, "Which?")
