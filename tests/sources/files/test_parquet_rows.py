from pathlib import Path
import tracemalloc

import pyarrow as pa
from pyarrow import parquet

from raycalib.sources.files.parquet_rows import read_parquet
from tests.sources.drawn import Drawn


def test_rows_of_a_megabyte_are_held_a_few_at_a_time(tmp_path: Path) -> None:
    """80 rows of 1 MB in one row group, and thousands of short ones in the next."""
    path = tmp_path / "rows.parquet"
    long = pa.table({"a": [f"{index:04d}" * 250_000 for index in range(80)], "n": list(range(80))})
    short = pa.table({"a": [f"short {index}" for index in range(9000)], "n": list(range(80, 9080))})
    # Pages of a few rows, as a writer that looks at sizes makes them: a page is always read whole.
    options = {"compression": "none", "use_dictionary": False, "write_batch_size": 4}
    with parquet.ParquetWriter(path, long.schema, **options) as writer:
        writer.write_table(long)
        writer.write_table(short)
    del long, short
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    arrow_peak, numbers = 0, []
    for row in read_parquet(path, None):
        numbers.append((row.number, row.values["n"]))
        arrow_peak = max(arrow_peak, pa.total_allocated_bytes() - before)
    _, python_peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert numbers == [(index + 1, index) for index in range(9080)]
    # Rows of 16 MiB as Arrow has them and as Python has them, twice while the next ones are made; not all 80 MiB.
    assert python_peak < 40 * 2**20
    assert arrow_peak < 40 * 2**20


def test_columns_that_are_not_there_leave_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"a.b": ["x", "y"], "c": [1, 2]}), path)
    assert [dict(row.values) for row in read_parquet(path, ["a.b", "a"])] == [{"a.b": "x"}, {"a.b": "y"}]
    assert [(row.number, row.values) for row in read_parquet(path, ["d"])] == [(1, {}), (2, {})]


def test_a_text_that_is_no_utf8_refuses_its_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    questions = pa.array([b"Who?", b"na\xefve?", b"Where?"]).view(pa.string())
    notes = pa.array([b"\xff", b"", b"\xff"]).view(pa.string())
    parquet.write_table(pa.table({"question": questions, "answer": ["a", "b", "c"], "note": notes}), path)
    drawn = Drawn(f"file:{path}")
    (refused,) = drawn.refused
    assert (refused.row, refused.field, refused.reason) == (2, "question", "'question' is not valid UTF-8")
    assert [row["target"] for row in drawn.rows] == ["a", "c"]
