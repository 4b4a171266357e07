"""The rows of a stage as one file for other programs."""

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
import pandas as pd
import pyarrow as pa
import pytest

from raycalib.errors import ConfigError, DataError
from raycalib.records import ANSWER, FEATURES, LABELLED, PREDICTION
from raycalib.stages.export_rows import export_rows
from raycalib.stages.output import StageOutput, finished
from raycalib.storage import Location, Manifest, read_manifest, write_manifest, write_shard
from raycalib.storage.csv_cells import read_cell
from tests.stages.answers import answer


def make_stage(place: Location, shards: list[list[dict[str, Any]]], schema: pa.Schema, key: str = "k") -> StageOutput:
    names = tuple(write_shard(place, index, rows, schema) for index, rows in enumerate(shards))
    write_manifest(place, Manifest(stage="s", key=key, config={}, shards=names))
    done = finished(place, key)
    assert done is not None
    return done


def labelled(row_id: str, **more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(name for name in LABELLED.names if LABELLED.field(name).nullable)
    return {**nothing, **answer(row_id, "x", "x"), "query_label": 1, "grader": "string", "retryable": False, **more}


def read_back(place: Location, schema: pa.Schema) -> list[dict[str, Any]]:
    text = place.read_bytes("rows.csv").decode()
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return [{name: read_cell(cell, schema.field(name)) for name, cell in row.items()} for row in rows]


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return Location(f"memory://{uuid4().hex}/stage" if request.param == "memory" else str(tmp_path / "stage"))


def test_all_shards_are_one_file_in_order(place: Location) -> None:
    rows = [labelled(str(index), output=f"=HYPERLINK({index})", log_likelihood=-1.5) for index in range(5)]
    output = make_stage(place, [rows[:2], rows[2:3], rows[3:]], LABELLED)
    uri = export_rows(output, "csv")
    assert uri == f"{place.uri}/rows.csv"
    lines = place.read_bytes("rows.csv").decode().split("\r\n")
    assert lines[0].split(",") == LABELLED.names
    assert (len(lines), lines[1].count("'=HYPERLINK(0)"), lines[1].count(",-1.5,")) == (7, 1, 1)
    assert read_back(place, LABELLED) == rows
    export_rows(output, "jsonl")
    assert [json.loads(line) for line in place.read_bytes("rows.jsonl").decode().splitlines()] == rows


def test_the_stage_stays_finished_and_a_file_that_is_there_is_not_written_again(place: Location) -> None:
    output = make_stage(place, [[labelled("a")]], LABELLED)
    export_rows(output, "csv")
    assert finished(place, "k") == output
    manifest = read_manifest(place)
    assert manifest is not None
    assert "rows.csv" not in manifest.sizes
    content = place.read_bytes("rows.csv")
    place.write_bytes("rows.csv", bytes(len(content)))
    export_rows(output, "csv")
    assert place.read_bytes("rows.csv") == bytes(len(content))
    place.write_bytes("rows.csv", b"cut off")
    export_rows(output, "csv")
    assert place.read_bytes("rows.csv") == content
    export_rows(make_stage(place, [[labelled("b")]], LABELLED, key="other"), "csv")
    assert [row["row_id"] for row in read_back(place, LABELLED)] == ["b"]


def test_there_is_the_whole_file_or_none(place: Location) -> None:
    output = make_stage(place, [[labelled("a")], [labelled("b")]], LABELLED)
    place.write_bytes(output.shards[1], b"damaged")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        export_rows(output, "csv")
    assert set(place.sizes()) == {*output.shards, "manifest.json"}


def test_secrets_that_became_known_later_are_not_written(place: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    output = make_stage(place, [[labelled("a", output="my key is abc123-secret-9", error="got abc123-sec")]], LABELLED)
    monkeypatch.setenv("SOME_API_KEY", "abc123-secret-9")
    for file_format in ("csv", "jsonl"):
        export_rows(output, file_format)  # type: ignore[arg-type]
        text = place.read_bytes(f"rows.{file_format}").decode()
        assert "abc123" not in text
        assert "my key is <key>" in text


def test_the_vectors_of_features_are_in_jsonl_alone(place: Location) -> None:
    row = {**answer("a", "x", "x"), "logit_no": -0.5, "logit_yes": 1.0, "n_query_cut": 0, "feature": [0.5, -2.0]}
    output = make_stage(place, [[row]], FEATURES)
    export_rows(output, "csv")
    export_rows(output, "jsonl")
    (read,) = read_back(place, FEATURES)
    assert read == {
        name: value for name, value in {**dict.fromkeys(FEATURES.names), **row}.items() if name != "feature"
    }
    assert json.loads(place.read_bytes("rows.jsonl"))["feature"] == [0.5, -2.0]


def test_an_outsider_reads_labels_and_predictions_with_pandas(tmp_path: Path) -> None:
    rows = [labelled("a", answer="-5", options=["x", "y"]), labelled("b", query_label=0, answer="a\r\n,b")]
    rows.append(labelled("c", query_label=None))
    frame = pd.read_csv(export_rows(make_stage(Location(str(tmp_path / "l")), [rows], LABELLED), "csv"))
    assert frame["query_label"].tolist()[:2] == [1, 0]
    assert pd.isna(frame["query_label"][2])
    assert frame["answer"].tolist()[:2] == ["'-5", "a\r\n,b"]
    assert json.loads(frame["options"][0]) == ["x", "y"]
    assert frame["fresh_entity"].dtype == bool
    base = {name: rows[0][name] for name in PREDICTION.names if name in rows[0]}
    predictions = [base | {"method": "probe", "logit": -1.5, "p_correct": 0.18242552380635635}]
    place = Location(str(tmp_path / "p"))
    frame = pd.read_json(export_rows(make_stage(place, [predictions], PREDICTION), "jsonl"), lines=True)
    assert frame[["logit", "p_correct"]].to_numpy().tolist() == [[-1.5, pytest.approx(0.18242552380635635, rel=1e-12)]]


def test_a_stage_without_rows_is_an_empty_table(place: Location) -> None:
    output = make_stage(place, [[]], ANSWER)
    export_rows(output, "csv")
    assert place.read_bytes("rows.csv").decode() == ",".join(ANSWER.names) + "\r\n"


def test_another_format_is_refused(place: Location) -> None:
    with pytest.raises(ConfigError, match="'xlsx' is none of csv, jsonl"):
        export_rows(make_stage(place, [[labelled("a")]], LABELLED), "xlsx")  # type: ignore[arg-type]


texts = st.one_of(st.text(alphabet=st.sampled_from("'=+-@\t\r\n \",é\uff1d\x00"), max_size=5), st.text(max_size=20))
numbers = st.one_of(st.none(), st.floats(allow_nan=False))
rows_of_any_kind = st.lists(
    st.fixed_dictionaries(
        {
            "output": texts, "answer": texts, "options": st.lists(texts, max_size=3), "log_likelihood": numbers,
            "aliases": st.one_of(st.none(), st.lists(texts, max_size=2)), "error": st.one_of(st.none(), texts),
            "query_label": st.sampled_from([0, 1, None]), "verdict": st.one_of(st.none(), texts),
            "option_log_likelihoods": st.lists(st.floats(allow_nan=False), max_size=3), "retryable": st.booleans(),
        }
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(rows_of_any_kind)
def test_what_is_read_back_is_what_was_there(parts: list[dict[str, Any]]) -> None:
    rows = [labelled(str(index), **part) for index, part in enumerate(parts)]
    with TemporaryDirectory() as folder:
        place = Location(folder)
        output = make_stage(place, [rows[:2], rows[2:]], LABELLED)
        export_rows(output, "csv")
        export_rows(output, "jsonl")
        assert read_back(place, LABELLED) == rows
        lines = place.read_bytes("rows.jsonl").decode().split("\n")[:-1]
        assert [json.loads(line) for line in lines] == rows
