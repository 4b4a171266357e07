"""Labelled answers joined with their features."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raycalib.errors import DataError
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.evidence import gather_evidence
from raycalib.storage import Location, Manifest, write_shard

LABELLED = pa.schema(
    {
        "row_id": pa.string(),
        "answer": pa.string(),
        "style": pa.string(),
        "split": pa.string(),
        "query_label": pa.int8(),
    }.items()
)
FEATURES = pa.schema(
    {
        "row_id": pa.string(),
        "answer": pa.string(),
        "logit_no": pa.float64(),
        "logit_yes": pa.float64(),
        "feature": pa.list_(pa.float32()),
    }.items()
)


def stage(place: Location, shards: list[list[dict[str, Any]]], schema: pa.Schema) -> StageOutput:
    names = tuple(write_shard(place, index, rows, schema) for index, rows in enumerate(shards))
    manifest = Manifest(stage="s", key="k", config={}, shards=names, counts={})
    return StageOutput(place=place, manifest=manifest, was_done=False)


def labelled(place: Path, ids: list[list[str]]) -> StageOutput:
    """One shard per list; ids start with the style's first letter and the split's."""
    styles, splits = {"o": "oe", "c": "choice"}, {"t": "train", "e": "test"}
    rows = [
        [{"row_id": i, "answer": f"{i}!", "style": styles[i[0]], "split": splits[i[1]], "query_label": 1} for i in of]
        for of in ids
    ]
    return stage(Location(str(place / "labelled")), rows, LABELLED)


def features(place: Path, ids: list[list[str]], without: tuple[str, ...] = ()) -> StageOutput:
    """The feature of a row is its number, twice; its logits are minus and plus that."""
    rows = [
        [
            {"row_id": i, "answer": f"{i}!"}
            | (
                {"logit_no": None, "logit_yes": None, "feature": None}
                if i in without
                else {"logit_no": -float(i[2:]), "logit_yes": float(i[2:]), "feature": [float(i[2:])] * 2}
            )
            for i in of
        ]
        for of in ids
    ]
    return stage(Location(str(place / "features")), rows, FEATURES)


IDS = [["ot1", "ot2"], ["ct3", "ct4"], ["oe5", "oe6"]]


def test_rows_of_one_style_with_their_logits_and_features(tmp_path: Path) -> None:
    found = gather_evidence(labelled(tmp_path, IDS), features(tmp_path, IDS, without=("oe5",)), "oe")
    assert [row["row_id"] for row in found.rows] == ["ot1", "ot2", "oe5", "oe6"]
    assert [row["logit_yes"] for row in found.rows] == [1.0, 2.0, None, 6.0]
    np.testing.assert_array_equal(found.features, [[1, 1], [2, 2], [np.nan] * 2, [6, 6]])
    assert found.usable(("train",)).tolist() == [0, 1]
    assert found.usable(("test", "train")).tolist() == [0, 1, 3]


def test_a_shard_without_any_feature(tmp_path: Path) -> None:
    found = gather_evidence(labelled(tmp_path, IDS), features(tmp_path, IDS, without=("ot1", "ot2")), "oe")
    assert np.isnan(found.features[:2]).all()
    assert found.usable(("train",)).tolist() == []
    assert found.usable(("test",)).tolist() == [2, 3]


def test_no_feature_at_all(tmp_path: Path) -> None:
    found = gather_evidence(labelled(tmp_path, IDS), features(tmp_path, IDS, without=("ct3", "ct4")), "choice")
    assert found.usable(("train", "test")).tolist() == []


def test_stages_of_different_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold the rows of"):
        gather_evidence(labelled(tmp_path, IDS), features(tmp_path, [["ot2", "ot1"], *IDS[1:]]), "oe")
    with pytest.raises(DataError, match=r"has 2 shards, .* 3; delete one of the two"):
        gather_evidence(labelled(tmp_path / "b", IDS), features(tmp_path / "b", IDS[:2]), "oe")


def test_features_of_other_answers_to_the_same_questions_are_refused(tmp_path: Path) -> None:
    other = features(tmp_path, IDS)
    rows = [{"row_id": i, "answer": "another", "logit_no": 0.0, "logit_yes": 0.0, "feature": [0.0]} for i in IDS[0]]
    remade = (write_shard(other.place, 0, rows, FEATURES), *other.shards[1:])
    with pytest.raises(DataError, match="does not hold the rows of"):
        gather_evidence(labelled(tmp_path, IDS), replace(other, manifest=replace(other.manifest, shards=remade)), "oe")
