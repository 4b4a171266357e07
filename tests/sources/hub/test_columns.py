from collections.abc import Callable
from typing import Any

import pytest

from raycalib.sources.files.raw_row import CsvCell
from raycalib.sources.hub.columns import fixed, in_columns, in_list, key, marked, number, text_at, truth, value_at
from raycalib.sources.hub.item import UnusableRowError

OPTIONS = ("red", "green", "blue")


@pytest.mark.parametrize("value", [1, "1", " 1 ", 1.0, "1.0"])
def test_a_number_may_be_written_in_digits(value: object) -> None:
    assert number("label")({"label": value}, OPTIONS) == 1
    assert number("label", first=1)({"label": value}, OPTIONS) == 0


def test_the_other_readers() -> None:
    row = {"letter": "b", "key": "3", "keys": ["1", "2", "3"], "fact": True, "marks": [0, 0, 1], "x": "X", "y": "Y"}
    assert key("letter")(row, OPTIONS) == 1
    assert key("key", among="keys")(row, OPTIONS) == 2
    assert truth("fact")(row, ("no", "yes")) == 1
    assert marked("marks")(row, OPTIONS) == 2
    assert in_columns("x", "y")(row) == ("X", "Y")
    assert in_list("keys")(row) == ("1", "2", "3")
    assert fixed("no", "yes")(row) == ("no", "yes")
    assert value_at({"outer": {"inner": 5}}, "outer.inner") == 5


@pytest.mark.parametrize(
    ("read", "row", "reason"),
    [
        (number("label"), {}, "column 'label' is missing"),
        (number("label"), {"label": None}, "'label' is null"),
        (number("label"), {"label": -1}, "'label' is -1: the row has no label"),
        (number("label"), {"label": "-1"}, "'label' is -1: the row has no label"),
        (number("label"), {"label": ""}, "'label' is '': the row has no label"),
        (number("label"), {"label": 3}, "'label' is 3; the options are numbered 0 to 2"),
        (number("label", first=1), {"label": "0"}, "'label' is 0; the options are numbered 1 to 3"),
        (number("label"), {"label": True}, "'label' must be a whole number, not True"),
        (number("label"), {"label": 1.5}, "'label' must be a whole number, not 1.5"),
        (number("label"), {"label": "1.5"}, "'label' must be a whole number, not '1.5'"),
        (number("label"), {"label": float("nan")}, "'label' must be a whole number, not nan"),
        (number("label"), {"label": -1.0}, "'label' is -1: the row has no label"),
        (number("label"), {"label": "one"}, "'label' must be a whole number, not 'one'"),
        (number("label"), {"label": [1]}, r"'label' must be a whole number, not \[1\]"),
        (key("answer"), {"answer": ""}, "'answer' is '': the row has no label"),
        (key("answer"), {"answer": "d"}, "'answer' is 'd', which is the key of no option"),
        (key("answer"), {"answer": "ab"}, "'answer' is 'ab', which is the key of no option"),
        (key("answer"), {"answer": 1}, "'answer' must be a text, not 1"),
        (key("answer", among="keys"), {"answer": "A", "keys": "ABC"}, "'keys' must be a list of texts, not 'ABC'"),
        (truth("fact"), {"fact": 1}, "'fact' must be true or false, not 1"),
        (marked("marks"), {"marks": [0, 0, 0]}, "'marks' marks 0 options as right; exactly one is needed"),
        (marked("marks"), {"marks": [1, 0, 1]}, "'marks' marks 2 options as right; exactly one is needed"),
        (marked("marks"), {"marks": [1, 0]}, r"'marks' must be a list of 3 marks, not \[1, 0\]"),
    ],
)
def test_reasons_name_the_column(read: Callable[..., int], row: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableRowError, match=f"^{reason}$"):
        read(row, OPTIONS)


def test_a_long_value_is_cut_in_the_reason() -> None:
    with pytest.raises(UnusableRowError) as caught:
        text_at({"text": list(range(10_000))}, "text")
    assert len(str(caught.value)) < 100


def test_what_is_nested_deeply_is_cut_in_the_reason() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    for value in (deep, {"a": deep}):
        with pytest.raises(UnusableRowError, match=r"^'text' must be a text, not .{,60}$"):
            text_at({"text": value}, "text")


def test_lists_as_python_writes_them_are_told_from_json() -> None:
    with pytest.raises(
        UnusableRowError, match=r"must be JSON in a csv, not .*; write Python's lists with json\.dumps$"
    ):
        in_list("options")({"options": CsvCell("['red', 'green']")})


@pytest.mark.parametrize("row", [None, "text", 3, ["label"], {"outer": None}, {"outer": "inner"}])
def test_what_is_no_mapping_has_no_columns(row: Any) -> None:
    with pytest.raises(UnusableRowError, match="'outer"):
        value_at(row, "outer.inner")
