from pathlib import Path
from typing import Any

import pytest

from tests.sources.drawn import ENDINGS, Drawn, write


def only(tmp_path: Path, row: dict[str, Any], ending: str = ".jsonl", **named: str) -> Drawn:
    return Drawn(f"file:{write(tmp_path / f'mine{ending}', [row])}", "choice", **named)


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_number_among_texts_is_refused_since_it_may_be_a_place(tmp_path: Path, ending: str) -> None:
    """Is 0 the text of (c), or the place of (a)?"""
    row = {"question": "1 - 1?", "choices": ["2", "1", "0", "3"], "answer": 0}
    (refused,) = only(tmp_path, row, ending).refused
    assert refused.field == "answer"
    assert "name it as answer_index_column; if not, write it as a text" in refused.reason
    assert only(tmp_path, row, ending, answer_index_column="answer").rows[0]["target"] == "a"
    assert only(tmp_path, row | {"answer": "0"}, ending).rows[0]["target"] == "c"


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize(("answer", "choices"), [(0, [2, 1, 0, 3]), (0.0, [2, 1, 0, 3]), (0.5, [0.25, 1.5, 0.5])])
def test_a_number_among_numbers_is_a_value(tmp_path: Path, ending: str, answer: float, choices: list[float]) -> None:
    assert only(tmp_path, {"question": "1 - 1?", "choices": choices, "answer": answer}, ending).rows[0]["target"] == "c"
    (refused,) = only(tmp_path, {"question": "1 - 1?", "choices": choices, "answer": 7}, ending).refused
    assert "the answer 7" in refused.reason


@pytest.mark.parametrize("ending", ENDINGS)
def test_places_may_be_written_as_fractions_without_one(tmp_path: Path, ending: str) -> None:
    """As tables with nulls have them."""
    row = {"question": "Colour?", "choices": ["red", "green"], "label": 1.0}
    assert only(tmp_path, row, ending).rows[0]["target"] == "b"
    (refused,) = only(tmp_path, row | {"label": 0.5}, ending).refused
    assert "'label' must be a whole number, not" in refused.reason


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_whole_numbers_of_a_column_with_nulls_are_written_whole(tmp_path: Path, ending: str) -> None:
    rows = [{"question": f"Q{value}?", "answer": value} for value in (4.0, None, 12.0, -3.0)]
    found = Drawn(f"file:{write(tmp_path / f'mine{ending}', rows)}")
    assert [row["target"] for row in found.rows] == ["4", "12", "-3"]
    assert [refused.row for refused in found.refused] == [2]
    rows.append({"question": "Half?", "answer": 0.5})
    found = Drawn(f"file:{write(tmp_path / f'mine{ending}', rows)}")
    assert [row["target"] for row in found.rows] == ["4.0", "12.0", "-3.0", "0.5"]


def test_numbers_in_texts_stay_as_they_are_written(tmp_path: Path) -> None:
    rows = [{"question": f"Q{value}?", "answer": value} for value in ("4.0", "5.0")]
    for ending in ENDINGS:
        found = Drawn(f"file:{write(tmp_path / f'mine{ending}', rows)}")
        assert [row["target"] for row in found.rows] == ["4.0", "5.0"]
