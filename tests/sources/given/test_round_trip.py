"""Any table of texts comes in alike from csv, jsonl and parquet, and every row is a record or refused."""

from pathlib import Path
import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from raycalib.sources.given.given_source import open_given
from raycalib.sources.given.places import parse_place
from raycalib.sources.given.rows import RefusedGiven
from tests.sources.drawn import ENDINGS, write

TEXT = st.one_of(
    st.sampled_from(
        ["", " ", "None", "nan", "NA", "null", "true", "1", "4.0", "[]", '["a"]', "a,b", '"', "\r\n", "\n"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
ROW = st.fixed_dictionaries(
    {
        "context": TEXT,
        "target_prompt": TEXT,
        "target": TEXT,
        "output": TEXT,
        "task": TEXT,
        "prompt": TEXT,
        "query_label": st.sampled_from(["0", "1", "1.0", "true", "nan", "2", "-1", "?"]),
    }
)


@given(rows=st.lists(ROW, min_size=1, max_size=8), kind=st.sampled_from(["answers", "labelled"]))
@settings(max_examples=150)
def test_a_table_of_texts_is_the_same_from_all_kinds_of_files(rows: list[dict[str, str]], kind: Any) -> None:
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        for ending in ENDINGS:
            path = write(Path(directory) / f"mine{ending}", rows)
            source = open_given(parse_place(str(path)), kind=kind, model="m", style="oe")
            found[ending] = [
                (row.row, row.field, row.reason) if isinstance(row, RefusedGiven) else row | {"source": ""}
                for row in source.rows()
            ]
    assert len(found[".parquet"]) == len(rows)
    assert found[".csv"] == found[".jsonl"] == found[".parquet"]
    for row, record in zip(rows, found[".csv"], strict=True):
        if isinstance(record, dict):
            names = ("context", "target_prompt", "target", "output", "prompt")
            assert [record[name] for name in names] == [row[name] for name in names]
