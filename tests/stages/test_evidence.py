"""Labelled answers joined with their features."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raycalib.errors import DataError
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions import evidence
from raycalib.stages.predictions.evidence import Evidence, EvidenceSource
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


def gathered(
    labelled: StageOutput, features: StageOutput, style: str, splits: tuple[str, ...] | None = None
) -> Evidence:
    """All rows as one block."""
    source = EvidenceSource(
        labelled=labelled, features=features, style=style, columns=("split", "query_label"), splits=splits
    )
    (block,) = source.blocks(with_features=True)
    return block


def ids_of(block: Evidence, places: np.ndarray) -> list[str]:
    ids = block.values("row_id")
    return [ids[place] for place in places]


def test_rows_of_one_style_with_their_logits_and_features(tmp_path: Path) -> None:
    found = gathered(labelled(tmp_path, IDS), features(tmp_path, IDS, without=("oe5",)), "oe")
    assert found.values("row_id") == ["ot1", "ot2", "oe5", "oe6"]
    assert found.values("logit_yes") == [1.0, 2.0, None, 6.0]
    np.testing.assert_array_equal(found.features, [[1, 1], [2, 2], [np.nan] * 2, [6, 6]])
    assert ids_of(found, found.usable) == ["ot1", "ot2", "oe6"]


def test_rows_of_some_splits_alone(tmp_path: Path) -> None:
    """The features of the other shards are not read: the first is gone."""
    of = features(tmp_path, IDS)
    (of.place / of.shards[0]).remove()
    found = gathered(labelled(tmp_path, IDS), of, "oe", splits=("test",))
    assert found.values("row_id") == ["oe5", "oe6"]
    np.testing.assert_array_equal(found.features, [[5, 5], [6, 6]])


def test_without_features_the_vectors_are_left(tmp_path: Path) -> None:
    source = EvidenceSource(
        labelled=labelled(tmp_path, IDS), features=features(tmp_path, IDS), style="choice", columns=()
    )
    (block,) = source.blocks(with_features=False)
    assert block.values("row_id") == ["ct3", "ct4"]
    assert block.features.shape == (2, 0)
    assert block.usable.tolist() == []


def test_a_shard_without_any_feature(tmp_path: Path) -> None:
    found = gathered(labelled(tmp_path, IDS), features(tmp_path, IDS, without=("ot1", "ot2")), "oe")
    assert np.isnan(found.features[:2]).all()
    assert ids_of(found, found.usable) == ["oe5", "oe6"]


def test_no_feature_at_all(tmp_path: Path) -> None:
    found = gathered(labelled(tmp_path, IDS), features(tmp_path, IDS, without=("ct3", "ct4")), "choice")
    assert found.usable.tolist() == []


def test_no_row_at_all(tmp_path: Path) -> None:
    source = EvidenceSource(labelled=labelled(tmp_path, IDS), features=features(tmp_path, IDS), style="x", columns=())
    assert list(source.blocks(with_features=True)) == []


NUMBERED = [[f"ot{10 * shard + row}" for row in range(7)] for shard in range(9)]
WITHOUT = tuple(row for number, row in enumerate(row for shard in NUMBERED for row in shard) if number % 3 == 1)


@pytest.mark.parametrize("at_once", [1, 4])
def test_blocks_end_behind_so_many_rows_with_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(evidence, "BLOCK_ROWS", 10)
    monkeypatch.setattr(evidence, "at_once_of", lambda *places: at_once)
    labels, held = labelled(tmp_path, NUMBERED), features(tmp_path, NUMBERED, without=WITHOUT)
    source = EvidenceSource(labelled=labels, features=held, style="oe", columns=("query_label",))
    blocks = list(source.blocks(with_features=True))
    # of 63 rows 42 have features, two of three: the tenth of them is the 14th or 15th row
    assert [len(block.usable) for block in blocks] == [10, 10, 10, 10, 2]
    assert [row for block in blocks for row in block.values("row_id")] == [row for shard in NUMBERED for row in shard]
    found = np.concatenate([block.features for block in blocks])
    expected = [[np.nan] * 2 if row in WITHOUT else [float(row[2:])] * 2 for shard in NUMBERED for row in shard]
    np.testing.assert_array_equal(found, expected)


def test_blocks_end_where_hardly_a_row_has_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_BLOCK_ROWS", 20)
    labels, ids = labelled(tmp_path, NUMBERED), [row for shard in NUMBERED for row in shard]
    source = EvidenceSource(
        labelled=labels, features=features(tmp_path, NUMBERED, without=tuple(ids[1:])), style="oe", columns=()
    )
    blocks = list(source.blocks(with_features=True))
    assert [len(block.table) for block in blocks] == [20, 20, 20, 3]
    assert [row for block in blocks for row in block.values("row_id")] == ids
    assert [block.usable.tolist() for block in blocks] == [[0], [], [], []]


def test_no_more_than_a_block_and_a_few_shards_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "BLOCK_ROWS", 10)
    read, held = list[str](), list[int]()
    plain = evidence.read_table

    def counted(place: Location, name: str, *rest: Any) -> pa.Table:
        read.append(name)
        return plain(place, name, *rest)

    monkeypatch.setattr(evidence, "read_table", counted)
    source = EvidenceSource(
        labelled=labelled(tmp_path, NUMBERED), features=features(tmp_path, NUMBERED), style="oe", columns=()
    )
    for number, block in enumerate(source.blocks(with_features=True), start=1):
        assert len(block.table) == (10 if number < 7 else 3)
        held.append(7 * len(read) // 2 - 10 * number)
    assert max(held) < 7, "rows that are read and not given yet are those of a shard"


def test_stages_of_different_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold the rows of"):
        gathered(labelled(tmp_path, IDS), features(tmp_path, [["ot2", "ot1"], *IDS[1:]]), "oe")
    with pytest.raises(DataError, match=r"has 2 shards, .* 3; delete one of the two"):
        gathered(labelled(tmp_path / "b", IDS), features(tmp_path / "b", IDS[:2]), "oe")


def test_features_of_other_answers_to_the_same_questions_are_refused(tmp_path: Path) -> None:
    other = features(tmp_path, IDS)
    rows = [{"row_id": i, "answer": "another", "logit_no": 0.0, "logit_yes": 0.0, "feature": [0.0]} for i in IDS[0]]
    remade = (write_shard(other.place, 0, rows, FEATURES), *other.shards[1:])
    with pytest.raises(DataError, match="does not hold the rows of"):
        gathered(labelled(tmp_path, IDS), replace(other, manifest=replace(other.manifest, shards=remade)), "oe")
