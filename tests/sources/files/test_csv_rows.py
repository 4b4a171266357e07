import csv
from pathlib import Path

import pytest

from raycalib.sources.files.csv_rows import read_csv
from tests.sources.drawn import Drawn


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    return path


def test_a_quote_in_the_wrong_place_refuses_its_row_alone(tmp_path: Path) -> None:
    path = written(tmp_path, 'question,answer\nWho?,He\n"q2" really?,b\n"Where,\nthough?",Here\n')
    drawn = Drawn(f"file:{path}")
    (refused,) = drawn.refused
    assert (refused.row, refused.field) == (2, "")
    assert refused.reason.startswith("cannot be read (line 3): ")
    assert [row["target"] for row in drawn.rows] == ["He", "Here"]


def test_a_bad_quote_in_the_last_row_is_refused_too(tmp_path: Path) -> None:
    rows = list(read_csv(written(tmp_path, 'a,b\n1,2\n"3"x,4'), None))
    assert [(row.number, bool(row.fault)) for row in rows] == [(1, False), (2, True)]


def test_a_quote_that_never_ends_stops_the_file(tmp_path: Path) -> None:
    rows = read_csv(written(tmp_path, 'a,b\n1,2\n"3,4\n5,6\n'), None)
    assert next(rows).number == 1
    with pytest.raises(csv.Error):
        next(rows)


def test_rows_of_empty_cells_are_none_but_keep_their_numbers(tmp_path: Path) -> None:
    """As a spreadsheet numbers them, the header aside."""
    path = written(tmp_path, "question,answer\n,\n\nWho?,\n,,\nWhere?,Here\n")
    drawn = Drawn(f"file:{path}")
    assert [(refused.row, refused.field) for refused in drawn.refused] == [(3, "answer")]
    assert drawn.tally.read.total() == 2
    assert [(row.number, row.fault) for row in read_csv(path, None)] == [(3, ""), (5, "")]
