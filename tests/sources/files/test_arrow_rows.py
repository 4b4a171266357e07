import pyarrow as pa
import pytest

from raycalib.sources.files.arrow_rows import BATCH_BYTES, BATCH_ROWS, arrow_rows, rows_at_once

BROKEN = b"na\xefve"


def broken(values: list[bytes | None]) -> pa.Array:
    """Texts of which some are no UTF-8, as files of other programs have them."""
    return pa.array(values, type=pa.binary()).view(pa.string())


@pytest.mark.parametrize("n_rows", [1, 7, 4096, 10**6])
@pytest.mark.parametrize("row_bytes", [0, 1, 1000, 10**6, 10**9])
def test_rows_at_once_fit_unless_one_is_larger(n_rows: int, row_bytes: int) -> None:
    found = rows_at_once(n_rows, n_rows * row_bytes)
    assert 1 <= found <= BATCH_ROWS
    assert found == 1 or found * row_bytes <= BATCH_BYTES
    assert found == BATCH_ROWS or 2 * found * row_bytes > BATCH_BYTES


def test_rows_of_a_table_are_numbered_whatever_their_size() -> None:
    table = pa.table({"a": ["x" * 2**20] * 40, "b": list(range(40))})
    rows = list(arrow_rows(table, 5))
    assert [(row.number, row.values["b"]) for row in rows] == [(index + 6, index) for index in range(40)]


def test_broken_utf8_is_marked_in_its_cell_and_the_rest_is_read() -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 2, 3, 4]), broken([b"x", b"y", BROKEN, b"z"]))
    structs = pa.StructArray.from_arrays([broken([b"p", BROKEN, None])], names=["inner"])
    table = pa.table({"a": broken([b"fine", BROKEN, None]), "lists": lists, "structs": structs, "n": [1, 2, 3]})
    first, second, third = (row.values for row in arrow_rows(table, 0))
    mended = "na\udcefve"
    assert first == {"a": "fine", "lists": ["x", "y"], "structs": {"inner": "p"}, "n": 1}
    assert second == {"a": mended, "lists": [mended], "structs": {"inner": mended}, "n": 2}
    assert third == {"a": None, "lists": ["z"], "structs": {"inner": None}, "n": 3}


def test_a_cell_that_python_cannot_hold_is_a_fault_of_its_row() -> None:
    times = pa.array([0, 2**62, 0], type=pa.timestamp("s"))
    rows = list(arrow_rows(pa.table({"when": times, "n": [1, 2, 3]}), 0))
    assert [row.number for row in rows] == [1, 2, 3]
    assert [bool(row.fault) for row in rows] == [False, True, False]
    assert rows[1].fault.startswith("'when' cannot be read: ")
