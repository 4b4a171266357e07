from collections.abc import Iterator
from pathlib import Path
import sys
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from raycalib.errors import DataError
from raycalib.sources.files.arrow_rows import arrow_rows
from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.hub import hub_source, open_split
from raycalib.sources.hub.loading import hub_table
from tests.sources.drawn import ENDINGS, Drawn, write

Call = tuple[tuple[Any, ...], dict[str, Any]]


class StandInDataset:
    """What the loading asks of a dataset."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def with_format(self, kind: str) -> "StandInDataset":
        assert kind == "arrow"
        return self

    def iter(self, batch_size: int) -> Any:
        return (pa.Table.from_pylist(self.rows[start : start + 2]) for start in range(0, len(self.rows), 2))


def stand_in(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None = None, **rows: list[dict[str, Any]]
) -> list[Call]:
    """Puts a module without network in the place of datasets, and keeps the calls."""
    calls: list[Call] = []

    def load_dataset(*args: Any, **kwargs: Any) -> StandInDataset:
        calls.append((args, kwargs))
        if error is not None:
            raise error
        return StandInDataset(rows[kwargs["split"]])

    module = ModuleType("datasets")
    module.__dict__["load_dataset"] = load_dataset
    module.__dict__["get_dataset_split_names"] = lambda hub_id, config: list(rows)
    monkeypatch.setitem(sys.modules, "datasets", module)
    return calls


def test_the_hub_is_asked_for_the_pinned_revision_and_one_split(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, dev=[{"text": f"Who {index}?"} for index in range(5)])
    source = hub_source("mmlu:virology")
    table = open_split(source, "dev")
    assert calls == []
    assert [(row.number, row.values["text"]) for row in table.rows(None)][3:] == [(4, "Who 3?"), (5, "Who 4?")]
    assert calls == [(("cais/mmlu", "virology"), {"split": "dev", "revision": source.revision})]


@pytest.mark.parametrize(
    "error", [OSError("offline\nand more"), ValueError(), RuntimeError("scripts are not supported")]
)
def test_a_failure_says_what_was_asked_for_and_what_to_do(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    stand_in(monkeypatch, error)
    with pytest.raises(DataError) as caught:
        list(open_split(hub_source("math_qa"), "test").rows(None))
    message = str(caught.value)
    assert "\n" not in message
    assert "source math_qa: split 'test' of regisss/math_qa (configuration default, revision newest)" in message
    assert "HF_HUB_OFFLINE" in message
    assert "--data-root DIR" in message


def test_a_dataset_of_ones_own_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"query": f"Q{index}?", "answer": "x"} for index in range(30)]
    stand_in(monkeypatch, train=rows, test=rows[:3])
    drawn = Drawn("hub:org/name")
    assert len(drawn.rows) == 33
    assert len(drawn.split("test")) == 3
    assert drawn.split("val_select", "val_calibrate")


def test_rows_of_the_hub_become_python_values_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def rows_of(table: pa.Table, n_before: int) -> Iterator[RawRow]:
        seen.append(n_before)
        return arrow_rows(table, n_before)

    monkeypatch.setattr("raycalib.sources.hub.loading.arrow_rows", rows_of)
    stand_in(monkeypatch, dev=[{"text": f"Who {index}?"} for index in range(5)])
    assert [row.number for row in open_split(hub_source("mmlu:virology"), "dev").rows(None)] == [1, 2, 3, 4, 5]
    assert seen == [0, 2, 4]


def test_the_datasets_package_reads_a_dataset_as_the_hub_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [{"question": f"{index}?", "choices": ["x", "NA"], "answer": index % 2} for index in range(7)]
    write(tmp_path / "mine" / "data" / "train-00000-of-00001.parquet", rows)
    table = hub_table("mine", str(tmp_path / "mine"), None, None, "train")
    assert [dict(row.values) for row in table.rows(None)] == rows
    assert table.columns() == ["question", "choices", "answer"]
    with pytest.raises(DataError, match=r"source mine: split 'tset' of .* cannot be loaded: "):
        list(hub_table("mine", str(tmp_path / "mine"), None, None, "tset").rows(None))


TREC = [{"text": "Who ?", "coarse_label": 3}, {"text": "Where ?", "coarse_label": 4}]
ARC = [
    {"question": "Hot?", "choices": {"text": ["sun", "ice"], "label": ["A", "B"]}, "answerKey": "A"},
    {"question": "[1, 2]", "choices": {"text": ["sun", "ice"], "label": ["1", "2"]}, "answerKey": "2"},
]
MMLU = [
    {"question": "Bone?", "choices": ["femur", "sea"], "answer": 0},
    {"question": "4", "choices": ["5", "6"], "answer": 1},
]
BOOLQ = [{"passage": "It rains.", "question": "is it dry", "answer": answer} for answer in (False, True)]
TRUTHFUL = [{"question": "Why?", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 0]}}]
CASES: list[tuple[str, str, str, list[dict[str, Any]], list[str]]] = [
    ("trec", "trec", "test", TREC, ["Human being", "Location"]),
    ("arc", "arc", "test", ARC, ["sun", "ice"]),
    ("mmlu:anatomy", "mmlu/anatomy", "test", MMLU, ["femur", "6"]),
    ("boolq", "boolq", "validation", BOOLQ, ["False", "True"]),
    ("truthful_qa", "truthful_qa", "validation", TRUTHFUL, ["a"]),
]


@pytest.mark.parametrize(("name", "directory", "split", "rows", "targets"), CASES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_of_column_is_read_below_the_data_root(
    tmp_path: Path, ending: str, name: str, directory: str, split: str, rows: list[dict[str, Any]], targets: list[str]
) -> None:
    """A csv has texts only: numbers and truth values as they are written, lists and structs as JSON."""
    write(tmp_path / directory / f"{split}{ending}", rows)
    source = hub_source(name)
    table = open_split(source, split, str(tmp_path))
    assert table.place == str(tmp_path / directory / f"{split}{ending}")
    for other in set(source.splits.values()) - {split}:
        write(tmp_path / directory / f"{other}{ending}", rows)
    drawn = Drawn(name, data_root=str(tmp_path), eval_k_shot=0)
    assert not drawn.refused
    wanted = drawn.split("test", "heldout_families") if split == "test" else drawn.split("val_select", "val_calibrate")
    assert [row["target"] for row in wanted] == targets


def test_lists_that_are_no_json_are_refused_in_a_csv(tmp_path: Path) -> None:
    (tmp_path / "mmlu" / "anatomy").mkdir(parents=True)
    (tmp_path / "mmlu" / "anatomy" / "test.csv").write_text("question,choices,answer\nBone?,\"['femur', 'sea']\",0\n")
    (refused,) = Drawn("mmlu:anatomy", data_root=str(tmp_path), eval_k_shot=0).refused
    assert (refused.row, refused.field) == (1, "choices")
    assert "'choices' must be JSON in a csv" in refused.reason


def test_mmlu_pro_has_one_file_for_all_categories_or_one_for_each(tmp_path: Path) -> None:
    rows = [
        {"question": f"{category}?", "options": ["x", "y"], "answer_index": 0, "category": category}
        for category in ("law", "computer science")
    ]
    write(tmp_path / "mmlu_pro" / "test.parquet", rows)
    drawn = Drawn("mmlu_pro:computer_science", data_root=str(tmp_path), eval_k_shot=0)
    assert [row["context"] for row in drawn.rows] == ["Question: computer science?"]
    assert drawn.tally.left_out.total() == 1
    write(tmp_path / "mmlu_pro" / "computer_science" / "test.jsonl", rows[1:])
    assert Drawn("mmlu_pro:computer_science", data_root=str(tmp_path), eval_k_shot=0).tally.read.total() == 1


def test_a_missing_and_a_doubled_file_say_what_to_do(tmp_path: Path) -> None:
    source = hub_source("arc")
    with pytest.raises(
        DataError, match=r"source arc: .*/arc/test \(.parquet, .jsonl, .csv\) does not exist; put the split 'test'"
    ):
        open_split(source, "test", str(tmp_path))
    for ending in (".csv", ".jsonl"):
        write(tmp_path / "arc" / f"test{ending}", ARC)
    with pytest.raises(DataError, match="are the same split; keep one"):
        open_split(source, "test", str(tmp_path))


@pytest.mark.parametrize("name", ["arc", "hub:someone/questions"])
def test_a_machine_without_the_datasets_package_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"cannot be loaded: .*datasets.* local copy with --data-root"):
        Drawn(name)
