"""Cells that a spreadsheet runs as formulas are texts, and every cell is read back as it was."""

import csv
import io
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
import pyarrow as pa
import pytest

from raycalib.storage.csv_cells import read_cell, write_cell

TEXT = pa.field("output", pa.string(), nullable=False)
TEXT_OR_NULL = pa.field("error", pa.string())
SCORE = pa.field("logit", pa.float64())
TRICKY = st.text(alphabet=st.sampled_from("'\"=+-@\t\r\n ,;\ufeff\u200b\xa0\x00\uff1d\uff0bab1"), max_size=6)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\n=1", "  =1", "\xa0=1", "\ufeff=1", "\u200b-1", "\x00=1",
     "\uff1dcmd|x", "\uff0b1", "\uff0d1", "\uff20a", "'=1", "''=1"],
)  # fmt: skip
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert write_cell(text, TEXT) == "'" + text
    assert read_cell("'" + text, TEXT) == text


@pytest.mark.parametrize("text", ["a", "'tis", "1-1", "a=b", "", "'", '"=1"', "(-1)", "−1"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert write_cell(text, TEXT) == text
    assert read_cell(text, TEXT) == text


def test_numbers_stay_numbers_and_lists_are_json() -> None:
    assert [write_cell(value, SCORE) for value in (-1.5, 1e-300, None)] == ["-1.5", "1e-300", ""]
    assert write_cell(-1, pa.field("query_label", pa.int8())) == "-1"
    assert write_cell(True, pa.field("retryable", pa.bool_())) == "true"
    assert write_cell(["=1", "é"], pa.field("options", pa.list_(pa.string()))) == '["=1", "é"]'


def test_null_and_an_empty_text_are_told_apart() -> None:
    assert [write_cell(text, TEXT_OR_NULL) for text in (None, "", "'")] == ["", "'", "''"]
    assert [read_cell(cell, TEXT_OR_NULL) for cell in ("", "'", "''")] == [None, "", "'"]


@given(st.lists(st.one_of(TRICKY, st.text()), min_size=1), st.one_of(st.none(), TRICKY), st.floats(allow_nan=False))
@example(["'", "''", "'=", "' ="], "'", float("-inf"))
def test_every_row_is_read_back_from_a_csv_file(texts: list[str], message: str | None, score: float) -> None:
    row: list[tuple[Any, pa.Field]] = [(text, TEXT) for text in texts]
    row += [(message, TEXT_OR_NULL), (score, SCORE), (texts, pa.field("options", pa.list_(pa.string())))]
    file = io.StringIO(newline="")
    csv.writer(file).writerow([write_cell(value, field) for value, field in row])
    (cells,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert [read_cell(cell, field) for cell, (_, field) in zip(cells, row, strict=True)] == [value for value, _ in row]
    for cell, (value, _) in zip(cells, row, strict=True):
        assert not isinstance(value, str) or not cell.strip().startswith(("=", "+", "-", "@"))
