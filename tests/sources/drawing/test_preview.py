from pathlib import Path
from typing import Any

import pytest

from raycalib.sources import RefusedRow, SourceSettings
from raycalib.sources.drawing.preview import preview_questions
from tests.sources.drawn import Drawn, write

OWN: list[dict[str, Any]] = [{"question": f"{index}?", "answer": "x"} for index in range(60)]
MMLU = [{"question": f"{index}?", "choices": ["x", "y"], "answer": 0} for index in range(4)]
TREC = [{"text": f"{index} ?", "coarse_label": 1} for index in range(30)]


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    for split in ("dev", "validation", "test"):
        write(tmp_path / "mmlu" / "anatomy" / f"{split}.jsonl", MMLU)
    for split in ("train", "test"):
        write(tmp_path / "trec" / f"{split}.jsonl", TREC)
    return tmp_path


def shown(name: str, split: str, **settings: Any) -> list[Any]:
    found = list(preview_questions(SourceSettings(name=name, **settings), "oe", split, 3))
    assert not any(isinstance(row, RefusedRow) for row in found)
    return found


@pytest.mark.parametrize("split", ["train", "test", "val_select", "heldout_families"])
def test_a_runs_split_is_shown_as_the_run_draws_it(tmp_path: Path, split: str) -> None:
    name = f"file:{write(tmp_path / 'mine.jsonl', OWN)}+facts:5"
    assert shown(name, split) == Drawn(name, seed=3).split(split)


def test_validation_is_both_halves(tmp_path: Path) -> None:
    name = f"file:{write(tmp_path / 'mine.jsonl', OWN)}"
    assert shown(name, "validation") == Drawn(name, seed=3).split("val_select", "val_calibrate")


def test_a_datasets_own_splits_are_shown_undealt_with_the_runs_ids(data_root: Path) -> None:
    rows = shown("trec", "train", data_root=str(data_root))
    assert len(rows) == 30
    drawn = Drawn("trec", seed=3, data_root=str(data_root))
    assert {row["row_id"] for row in rows} == {row["row_id"] for row in drawn.rows if row["split"] != "test"}
    assert [row["split"] for row in shown("mmlu:anatomy", "validation", data_root=str(data_root))] == ["validation"] * 4
    assert len(shown("mmlu:anatomy", "heldout_families", data_root=str(data_root))) == 4
    assert shown("trec", "validation", data_root=str(data_root)) == []


def test_each_row_has_the_examples_of_its_part(data_root: Path) -> None:
    def examples(name: str, split: str, *k_shot: str) -> set[int]:
        rows = shown(name, split, data_root=str(data_root), k_shot=k_shot)
        return {row["prompt"].count("Answer:") for row in rows}

    for split in ("validation", "test", "heldout_families"):
        assert examples("mmlu:anatomy", split, "train=1") == {3}  # of the four rows of dev none is the row itself
        assert examples("mmlu:anatomy", split, "1", "mmlu=2") == {2}
    assert examples("trec", "train", "1", "mmlu=2") == examples("trec", "val_select", "1", "mmlu=2") == {1}
    assert examples("trec", "test", "1", "mmlu=2") == {0}


def test_limits_and_mixes(data_root: Path) -> None:
    rows = shown("trec:7+mmlu:anatomy", "test", data_root=str(data_root))
    assert [row["source"] for row in rows] == ["trec"] * 7 + ["mmlu:anatomy"] * 4
