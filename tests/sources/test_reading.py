import json
import math
from pathlib import Path
import tracemalloc

import pyarrow as pa
from pyarrow import parquet
import pytest

from raycalib.errors import DataError
from raycalib.sources.files.raw_row import CsvCell
from raycalib.sources.reading import column_names, read_raw
from tests.sources.drawn import ENDINGS, write


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_are_numbered_from_one(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"rows{ending}", [{"a": "x", "b": "NA"}, {"a": "y", "b": "None"}])
    rows = list(read_raw(path))
    assert [(row.number, dict(row.values)) for row in rows] == [
        (1, {"a": "x", "b": "NA"}),
        (2, {"a": "y", "b": "None"}),
    ]
    assert column_names(path) == ["a", "b"]


def test_cells_of_a_csv_keep_quotes_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('a,b\n"say ""hi"", then\ngo",2\n,3\n')
    rows = list(read_raw(path))
    assert [list(row.values.values()) for row in rows] == [['say "hi", then\ngo', "2"], ["", "3"]]
    assert all(type(cell) is CsvCell for row in rows for cell in row.values.values())


def test_a_nan_that_nothing_reads_costs_no_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": NaN, "b": -Infinity, "c": "x"}\n')
    (row,) = read_raw(path)
    assert (row.fault, row.values["c"], math.isnan(row.values["a"])) == ("", "x", True)


def test_bad_lines_are_faults_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": \n[1]\n{"a": NaN}\n\xff\xfe{}\n{"a": 2}\n')
    faults = [(row.number, row.fault) for row in read_raw(path) if row.fault]
    assert [number for number, _ in faults] == [3, 4, 6]
    assert faults[1][1] == "is not a JSON object"
    assert all("\n" not in fault for _, fault in faults)
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert [row.fault for row in read_raw(path)] == ["", "has 1 cells, the header 2", "has 3 cells, the header 2", ""]


def test_broken_utf8_of_a_csv_stays_in_its_cell(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b\nx,\xff\ny,z\n")
    assert [row.values["a"] for row in read_raw(path)] == ["x", "y"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_missing_file_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"absent{ending}"
    with pytest.raises(DataError, match=rf"the file {path} does not exist"):
        list(read_raw(path))


@pytest.mark.parametrize("name", ["mine.txt", "mine", "mine.json", "mine.CSV"])
def test_another_ending_is_refused_with_those_allowed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("question,answer\n")
    with pytest.raises(DataError, match=r"has the ending '.*'; allowed: \.parquet, \.jsonl, \.csv"):
        list(read_raw(tmp_path / name))


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe not a table {", b"PAR1" + b"\0" * 50 + b"PAR1"])
def test_a_corrupt_parquet_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    for read in (column_names, lambda path: list(read_raw(path))):
        with pytest.raises(DataError, match=rf"{path} cannot be read") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_parquet_that_breaks_off_says_after_which_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"a": [f"text {index} " * 20 for index in range(10_000)]})
    parquet.write_table(table, path, row_group_size=5000, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 + 2000
    content[middle : middle + 200_000] = b"\xff" * 200_000
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read after row \d+: "):
        list(read_raw(path))


def test_a_csv_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('a,b\n1,2\n"3,4\n')
    with pytest.raises(DataError, match="cannot be read after row 1: unexpected end of data"):
        list(read_raw(path))


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_column_named_twice_is_an_error(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows{ending}"
    if ending == ".csv":
        path.write_text("question,answer,question\nWho?,He,She?\n")
    else:
        columns = [pa.array(["Who?"]), pa.array(["He"]), pa.array(["She?"])]
        parquet.write_table(pa.Table.from_arrays(columns, names=["question", "answer", "question"]), path)
    for read in (column_names, lambda path: list(read_raw(path))):
        with pytest.raises(DataError, match=r"rows\..* has several columns of the name 'question'; rename or remove"):
            read(path)


def test_columns_without_a_name_may_be_many(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("question,answer,,\nWho?,He,,\n")
    assert [row.values["answer"] for row in read_raw(path)] == ["He"]
    assert column_names(path) == ["question", "answer", "", ""]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_is_never_held_whole(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"rows{ending}", [{"a": f"{index:06d}" * 50} for index in range(20_000)])
    tracemalloc.start()
    assert sum(1 for _ in read_raw(path)) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000 * 300 * 0.6


def test_columns_of_a_jsonl_are_those_of_all_its_first_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ({"a": 1}, {"b": 2}, {"a": 3})))
    assert column_names(path) == ["a", "b"]
