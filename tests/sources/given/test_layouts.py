from pathlib import Path
import sys
from types import ModuleType
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from raycalib.errors import DataError
from raycalib.records import LABELLED
from raycalib.sources.given.given_source import GivenSource, open_given
from raycalib.sources.given.places import parse_place
from raycalib.sources.given.rows import RefusedGiven
from tests.sources.drawn import write
from tests.sources.given.paper_layout import answered_facts, write_labels, write_outputs, write_released
from tests.sources.hub.test_loading import stand_in

SPLITS = {"train": answered_facts(30), "validation": answered_facts(20, split="val_select")}
MANY = {"train": answered_facts(24)}


def opened(place: object, kind: Any = "labelled", style: str | None = "oe", **settings: Any) -> GivenSource:
    return open_given(parse_place(str(place)), kind=kind, model="llama2:13b-chat", style=style, **settings)


def records(source: GivenSource) -> list[dict[str, Any]]:
    found = list(source.rows())
    assert not any(isinstance(row, RefusedGiven) for row in found)
    return found  # type: ignore[return-value]


def contents(rows: Any) -> set[tuple[str, ...]]:
    return {(row["context"], row["target"], row["output"]) for row in rows}


def test_the_csv_of_the_papers_labels_come_in_with_their_splits(tmp_path: Path) -> None:
    rows = records(opened(f"offline:{write_labels(tmp_path, SPLITS)}"))
    assert contents(rows) == contents([*SPLITS["train"], *SPLITS["validation"]])
    assert {row["split"] for row in rows} == {"train", "val_select", "val_calibrate"}
    assert {row["query_label"] for row in rows} == {0, 1}
    by_content = {(row["context"], row["output"]): row["query_label"] for row in SPLITS["train"]}
    assert all(
        by_content[row["context"], row["output"]] == row["query_label"] for row in rows if row["split"] == "train"
    )
    assert records(opened(f"offline:{tmp_path}/labels")) == [
        row | {"source": "offline:labels", "task": "labels"} for row in rows
    ]


def test_the_csv_of_the_papers_outputs_are_answers_cut_to_their_first_lines(tmp_path: Path) -> None:
    header = "Question: 1 + 1?\nAnswer: 2\n\n"
    rows = records(opened(f"offline:{write_outputs(tmp_path, SPLITS, prompt=header)}", "answers"))
    expected = {row["output"] for split in SPLITS.values() for row in split}
    assert {row["answer"] for row in rows} == expected
    assert all(row["output"] == f" {row['answer']}\n\nQuestion: and more" for row in rows)
    assert {row["prompt"] for row in rows} == {header}
    assert "query_label" not in rows[0]


def test_ranks_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_outputs(tmp_path, MANY, ranks=12)
    (tmp_path / "outputs" / "train" / "embedding.npy").touch()
    rows = records(opened(f"offline:{tmp_path}", "answers"))
    assert [row["context"] for row in rows] == [row["context"] for rank in range(12) for row in MANY["train"][rank::12]]


def test_a_rank_without_rows_is_none_and_a_split_without_ranks_too(tmp_path: Path) -> None:
    write_labels(tmp_path, MANY, ranks=30)  # six ranks have nothing to do
    assert (tmp_path / "labels" / "train" / "29.csv").read_text() == "\n"
    (tmp_path / "labels" / "test").mkdir()
    assert len(records(opened(f"offline:{tmp_path}"))) == 24


def test_texts_that_pandas_reads_as_nothing_come_in_as_they_stand(tmp_path: Path) -> None:
    texts = ["None", "nan", "NA", "null", "N/A", 'say "yes", no', "a\nb", "a\r\nb", " x", "é\u2028"]
    rows = [answered_facts(1)[0] | {"target": text, "output": text, "context": f"{text}?"} for text in texts]
    write_labels(tmp_path, {"train": rows, "validation": rows[:1]}, ranks=1)
    found = records(opened(f"offline:{tmp_path}"))
    assert [row["target"] for row in found[: len(texts)]] == texts
    assert [row["output"] for row in found[: len(texts)]] == texts


def test_an_empty_target_is_refused_and_is_known_of_the_papers_csv(tmp_path: Path) -> None:
    lost = [answered_facts(1)[0] | {"target": ""}]
    write_labels(tmp_path, {"train": lost, "validation": answered_facts(2)}, ranks=1)
    (refused,) = [row for row in opened(f"offline:{tmp_path}").rows() if isinstance(row, RefusedGiven)]
    assert (refused.reason, refused.expected, refused.split) == ("'target' is empty", True, "train")


def test_outputs_are_no_labels_and_the_way_is_shown(tmp_path: Path) -> None:
    write_outputs(tmp_path, SPLITS)
    with pytest.raises(
        DataError, match=r"has no labels/SPLIT/RANK\.csv .* it has outputs; its outputs/ come in by --ans"
    ):
        opened(f"offline:{tmp_path}")
    refused = list(opened(f"offline:{tmp_path}/outputs").rows())
    assert {row.reason.partition(",")[0] for row in refused} == {"'query_label' is -1"}  # type: ignore[union-attr]


def test_files_that_are_no_ranks_and_ranks_that_are_there_twice(tmp_path: Path) -> None:
    write_labels(tmp_path, SPLITS)
    twice = tmp_path / "labels" / "train" / "rows_1.csv"
    twice.write_bytes((tmp_path / "labels" / "train" / "1.csv").read_bytes())
    with pytest.raises(DataError, match=r"1\.csv and .*rows_1\.csv are of one rank; keep one"):
        opened(f"offline:{tmp_path}")
    twice.rename(tmp_path / "labels" / "train" / "copy of 1.csv")
    with pytest.raises(DataError, match=r"copy of 1\.csv is no rank's file; allowed: rows_RANK\.csv and RANK\.csv"):
        opened(f"offline:{tmp_path}")


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    for place in (f"offline:{tmp_path}/absent", f"{tmp_path}/absent"):
        with pytest.raises(DataError, match="check the path"):
            opened(place)


@pytest.mark.parametrize("style", ["oe", "choice"])
def test_a_released_set_is_read_from_a_copy(tmp_path: Path, style: str) -> None:
    splits = {"train": answered_facts(30, style), "validation": answered_facts(20, style, "val_select")}
    write_released(tmp_path, "llama2:13b-chat", style, splits)
    source = opened(f"paper:llama2:13b-chat/{style}", style=None, data_root=str(tmp_path))
    rows = records(source)
    assert contents(rows) == contents([*splits["train"], *splits["validation"]])
    assert {row["style"] for row in rows} == {style}
    assert {row["source"] for row in rows} == {f"paper:llama2:13b-chat/{style}"}
    pa.Table.from_pylist(rows, schema=LABELLED).validate(full=True)
    assert "splits train, validation; answers of llama2:13b-chat" in source.describe()


def test_a_copy_as_the_hub_lays_its_repositories_out(tmp_path: Path) -> None:
    directory = write_released(tmp_path, "mistral:7b", "oe", SPLITS)
    (directory / "data").mkdir()
    for split in SPLITS:
        (directory / f"{split}.parquet").rename(directory / "data" / f"{split}-00000-of-00001.parquet")
    (directory / "README.md").touch()
    source = opened("paper:mistral:7b/oe", data_root=str(tmp_path))
    assert contents(records(source)) == contents([*SPLITS["train"], *SPLITS["validation"]])
    assert "answers of mistral:7b, read as those of llama2:13b-chat" in source.describe()


def test_a_copy_that_is_not_there_is_looked_for_nowhere_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"calibration-tuning/Mistral-7B-v0\.1-20k-oe, which does not exist; put"):
        opened("paper:mistral:7b/oe", data_root=str(tmp_path))


def test_a_released_set_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, **{name: list(rows) for name, rows in SPLITS.items()})
    rows = records(opened("paper:llama2:7b/oe"))
    assert contents(rows) == contents([*SPLITS["train"], *SPLITS["validation"]])
    assert {(call[0][0], call[1]["split"]) for call in calls} == {
        ("calibration-tuning/Llama-2-7b-hf-20k-oe", "train"),
        ("calibration-tuning/Llama-2-7b-hf-20k-oe", "validation"),
    }


def test_without_a_network_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, OSError("offline"))
    with pytest.raises(DataError, match=r"split 'train' of calibration-tuning/Llama-2-7b-hf-20k-oe .*--data-root DIR"):
        opened("paper:llama2:7b/oe")


def test_any_dataset_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, train=SPLITS["train"] * 10, test=SPLITS["validation"])
    rows = records(opened("hub:org/name"))
    assert {row["split"] for row in rows} == {"train", "val_select", "val_calibrate", "test"}
    assert {row["task"] for row in rows} == {"name"}
    stand_in(monkeypatch, train=SPLITS["train"], extra=SPLITS["validation"])
    with pytest.raises(
        DataError, match=r"has the split 'extra'; allowed: train, .*; put those that you want below --da"
    ):
        opened("hub:org/name")
    module = ModuleType("datasets")
    monkeypatch.setitem(sys.modules, "datasets", module)
    with pytest.raises(DataError, match=r"hub:org/name: org/name .*cannot be loaded.*check the network"):
        opened("hub:org/name")


def test_a_directory_of_files_that_are_named_as_splits(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", SPLITS["train"])
    write(tmp_path / "dev.jsonl", [row | {"split": "test"} for row in SPLITS["validation"]])
    rows = records(opened(tmp_path))
    assert [row["split"] for row in rows].count("train") == 30
    assert {row["split"] for row in rows} == {"train", "val_select", "val_calibrate"}
    write(tmp_path / "more.csv", MANY["train"])
    with pytest.raises(DataError, match=r"has the split 'more'; allowed: train, .*; rename or take away the file"):
        opened(tmp_path)
    (tmp_path / "more.csv").unlink()
    write(tmp_path / "train.parquet", SPLITS["train"])
    with pytest.raises(DataError, match=r"train\.csv and train\.parquet are the same split; keep one"):
        opened(tmp_path)


@pytest.mark.parametrize("shard", ["part-00000-0a1b2c3d", "part-123456-0a1b2c3d", "parked-123456-0a1b2c3d"])
def test_a_directory_of_shards_without_their_manifest_is_refused(tmp_path: Path, shard: str) -> None:
    write(tmp_path / "a.parquet", SPLITS["train"])
    write(tmp_path / f"{shard}.parquet", SPLITS["train"])
    with pytest.raises(DataError, match=r"has shards and no manifest\.json, so its stage is not finished"):
        opened(tmp_path)


def test_a_directory_of_other_files_is_one_table_after_the_other(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", SPLITS["train"])
    write(tmp_path / "b.parquet", SPLITS["validation"])
    (tmp_path / "notes.txt").touch()
    rows = records(opened(tmp_path))
    assert [row["context"] for row in rows] == [row["context"] for of in SPLITS.values() for row in of]
    assert {row["source"] for row in rows} == {f"file:{tmp_path.name}"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"has no files ending in \.parquet"):
        opened(tmp_path / "empty")


def test_a_csv_is_what_pandas_writes(tmp_path: Path) -> None:
    frame = pd.read_csv(write_labels(tmp_path, SPLITS) / "labels" / "train" / "0.csv")
    assert list(frame.columns) == ["context", "target_prompt", "target", "output", "query_label"]
    outputs = pd.read_csv(write_outputs(tmp_path, SPLITS) / "outputs" / "train" / "rows_0.csv")
    assert set(outputs["query_label"]) == {-1}
