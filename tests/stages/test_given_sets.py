"""Given rows as finished stages; no Ray."""

from collections import Counter
import json
from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import DataError
from raycalib.records import LABELLED, Row
from raycalib.sources.given.given_source import open_given
from raycalib.sources.given.places import parse_place
from raycalib.sources.given.rows import RefusedGiven
from raycalib.stages.export_rows import export_rows
from raycalib.stages.given import shards as given_shards
from raycalib.stages.given.sets import write_given
from raycalib.stages.given.shards import SetKey
from raycalib.stages.output import StageOutput
from raycalib.stages.workers.labels import label_by_string
from raycalib.storage import Location, Manifest, read_shard, write_shard
from tests.sources.drawn import write
from tests.sources.given.paper_layout import answered_facts, write_labels, write_outputs, write_released
from tests.stages.answers import answer

ROWS: list[dict[str, Any]] = [
    {"context": f"{index}?", "target": "x", "output": "x", "query_label": index % 2, "split": name}
    for index in range(40)
    for name in ("train", "validation", "test")
]


LABELS: dict[str, Any] = {
    "grader": "exact",
    "unscored_reason": None,
    **dict.fromkeys(("judge", "judge_prompt", "judged_on", "verdict")),
    "retryable": False,
}


def written(
    place: object,
    out: Path,
    kind: Any = "labelled",
    styles: tuple[str, ...] = ("oe",),
    rows_per_shard: int = 7,
    style: str | None = "oe",
    **settings: Any,
) -> dict[SetKey, StageOutput]:
    source = open_given(parse_place(str(place)), kind=kind, model="llama2:7b", style=style, **settings)
    return write_given(source, styles=styles, model="llama2:7b", out=Location(str(out)), rows_per_shard=rows_per_shard)


def all_rows(outputs: dict[SetKey, StageOutput]) -> list[Row]:
    return [row for output in outputs.values() for row in output.rows()]


def refused_of(output: StageOutput) -> list[dict[str, Any]]:
    if not output.place.exists("refused.jsonl"):
        return []
    return [json.loads(line) for line in output.place.read_bytes("refused.jsonl").splitlines()]


def check_counts(outputs: dict[SetKey, StageOutput]) -> None:
    for output in outputs.values():
        counts, rows = output.manifest.counts, list(output.rows())
        assert counts["in"] == counts["out"] + counts["refused"]
        assert counts["out"] == len(rows)
        assert counts["refused"] == len(refused_of(output))
        assert counts["errors"] == sum(1 for row in rows if row["error"])
        for (split, style), n in Counter((row["split"], row["style"]) for row in rows).items():
            assert counts[f"{split}/{style}"] == n


def test_a_shard_holds_one_split_and_train_comes_first(tmp_path: Path) -> None:
    outputs = written(write(tmp_path / "mine.csv", ROWS), tmp_path / "out")
    assert list(outputs) == [("training", "oe"), ("test", "oe")]
    training = outputs["training", "oe"]
    shards = [read_shard(training.place, name) for name in training.shards]
    assert all(len({row["split"] for row in shard}) == 1 and len(shard) <= 7 for shard in shards)
    splits = [shard[0]["split"] for shard in shards]
    assert splits == sorted(splits, key=["train", "val_select", "val_calibrate"].index)
    assert set(splits) == {"train", "val_select", "val_calibrate"}
    check_counts(outputs)
    assert sorted(row["context"] for row in all_rows(outputs)) == sorted(row["context"] for row in ROWS)
    assert training.manifest.counts["unscored"] == 0
    assert training.place.uri.startswith(f"{tmp_path}/out/labelled/llama2-7b-training-oe-")
    assert training.manifest.stage == "labelled"


def test_what_is_written_is_found_again_and_nothing_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "mine.csv", ROWS)
    first = written(path, tmp_path / "out")
    assert "columns context, target, output" in capsys.readouterr().out
    again = written(path, tmp_path / "out")
    assert capsys.readouterr().out == ""
    assert all(output.was_done for output in again.values())
    assert {key: output.key for key, output in again.items()} == {key: output.key for key, output in first.items()}
    assert not any(output.was_done for output in first.values())


def test_a_set_that_is_lost_alone_is_made_again(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", ROWS)
    first = written(path, tmp_path / "out")
    test = first["test", "oe"]
    (test.place.local_path / test.shards[0]).unlink()
    again = written(path, tmp_path / "out")
    assert again["training", "oe"].was_done
    assert again["training", "oe"].shards == first["training", "oe"].shards
    assert not again["test", "oe"].was_done
    assert list(again["test", "oe"].rows()) == [row for row in all_rows(again) if row["split"] == "test"]


def test_the_key_hangs_on_what_decides_the_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", ROWS)
    key = written(path, tmp_path / "out")["training", "oe"].key
    assert written(path, tmp_path / "b", seed=1)["training", "oe"].key != key
    assert written(path, tmp_path / "b", rows_per_shard=8)["training", "oe"].key != key
    assert written(path, tmp_path / "b", "answers")["training", "oe"].key != key
    assert written(path, tmp_path / "b")["test", "oe"].key != key
    assert written(path, tmp_path / "b")["training", "oe"].key == key
    write(path, [*ROWS, ROWS[0] | {"context": "new"}])
    assert written(path, tmp_path / "b")["training", "oe"].key != key


def test_another_style_leaves_the_first_as_it_is(tmp_path: Path) -> None:
    rows = [row | {"style": ("oe", "choice")[index % 2]} for index, row in enumerate(ROWS)]
    path = write(tmp_path / "mine.csv", rows)
    first = written(path, tmp_path / "out", style=None)
    assert set(first) == {("training", "oe"), ("test", "oe")}
    both = written(path, tmp_path / "out", style=None, styles=("choice", "oe"))
    assert list(both) == [("training", "choice"), ("test", "choice"), ("training", "oe"), ("test", "oe")]
    assert [output.was_done for output in both.values()] == [False, False, True, True]
    assert all(both[key].shards == first[key].shards for key in first)
    check_counts(both)
    assert len(all_rows(both)) == len(rows)
    again = written(path, tmp_path / "out", style=None, styles=("choice", "oe"))
    assert all(output.was_done for output in again.values())


def test_a_style_without_rows_is_said_with_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", ROWS)
    assert set(written(path, tmp_path / "out", styles=("oe", "choice"))) == {("training", "oe"), ("test", "oe")}
    with pytest.raises(DataError, match="has no rows of the style choice; it has oe"):
        written(path, tmp_path / "out", styles=("choice",))


def test_refused_rows_are_listed_beside_the_shards_of_their_set(tmp_path: Path) -> None:
    rows = [row | {"style": "oe"} for row in ROWS]
    rows[2] |= {"query_label": 7}  # test
    rows[3] |= {"target": ""}  # train
    rows[6] |= {"style": "essay"}
    rows[9] |= {"style": "choice", "query_label": "?"}
    outputs = written(write(tmp_path / "mine.csv", rows), tmp_path / "out", style=None, max_bad_rows=0.1)
    check_counts(outputs)
    assert [(row["row"], row["field"]) for row in refused_of(outputs["training", "oe"])] == [
        (4, "target"),
        (7, "style"),
    ]
    assert [(row["row"], row["split"]) for row in refused_of(outputs["test", "oe"])] == [(3, "test")]
    assert outputs["training", "oe"].place.read_bytes("refused.jsonl").isascii()
    assert len(all_rows(outputs)) == len(rows) - 4


def test_too_many_bad_rows_leave_no_finished_stage(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [*ROWS, *[ROWS[0] | {"query_label": "?"}] * 3])
    with pytest.raises(
        DataError, match=r"3 of 123 rows are unusable, more than the 0\.01 allowed: .*mine\.csv: row 121"
    ):
        written(path, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("manifest.json"))
    (listed,) = (tmp_path / "out").rglob("refused.jsonl")
    assert len(listed.read_text().splitlines()) == 3
    assert written(path, tmp_path / "out", max_bad_rows=0.03)
    with pytest.raises(DataError, match="3 of 123 rows are unusable"):
        written(path, tmp_path / "out")


def test_bad_rows_alone_are_listed_too(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [ROWS[0] | {"query_label": -1}])
    with pytest.raises(DataError, match="1 of 1 rows are unusable"):
        written(path, tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("refused.jsonl"))) == 1
    with pytest.raises(DataError, match="no rows of the style oe; it has none that can be used"):
        written(path, tmp_path / "out", max_bad_rows=1)


def test_labels_that_are_not_given_are_unscored(tmp_path: Path) -> None:
    rows = [row | {"query_label": ""} if index % 3 else row for index, row in enumerate(ROWS)]
    outputs = written(write(tmp_path / "mine.csv", rows), tmp_path / "out")
    unscored = sum(output.manifest.counts["unscored"] for output in outputs.values())
    assert unscored == sum(row["query_label"] is None for row in all_rows(outputs)) == 80


def test_records_of_evaluation_sets_are_sets_of_their_names(tmp_path: Path) -> None:
    records = [
        answer(f"{split}-{index}", "x", "x") | {"split": split} for split in ("mmlu", "train") for index in (1, 2)
    ]
    path = write(tmp_path / "mine.jsonl", [*records, answer("bad", "x", "", error="no memory")])
    outputs = written(path, tmp_path / "out", "answers")
    assert set(outputs) == {("training", "oe"), ("mmlu", "oe"), ("test", "oe")}
    assert outputs["test", "oe"].manifest.counts["errors"] == 1
    check_counts(outputs)
    assert all(output.was_done for output in written(path, tmp_path / "out", "answers").values())


def test_long_rows_make_small_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_shards, "MAX_SHARD_CHARACTERS", 20)
    outputs = written(write(tmp_path / "mine.csv", [row | {"output": "x" * 9} for row in ROWS]), tmp_path / "out")
    assert max(len(read_shard(output.place, name)) for output in outputs.values() for name in output.shards) == 2


def test_the_papers_layouts_become_stages(tmp_path: Path) -> None:
    splits = {"train": answered_facts(30), "validation": answered_facts(20, split="val_select")}
    write_outputs(tmp_path, splits)
    write_labels(tmp_path, splits)
    write_released(tmp_path, "llama2:7b", "oe", splits)
    answers = written(f"offline:{tmp_path}", tmp_path / "out", "answers")
    labelled = written(f"offline:{tmp_path}", tmp_path / "out")
    released = written("paper:llama2:7b/oe", tmp_path / "out", style=None, data_root=str(tmp_path))
    for outputs in (answers, labelled, released):
        assert list(outputs) == [("training", "oe")]
        assert outputs["training", "oe"].manifest.counts["train/oe"] == 30
        check_counts(outputs)
    ids = [[row["row_id"] for row in all_rows(outputs)] for outputs in (labelled, released)]
    assert sorted(ids[0]) == sorted(ids[1])  # equal contents, whatever the file


@pytest.mark.parametrize("style", ["oe", "choice"])
def test_given_answers_are_labelled_as_raycalibs_own(tmp_path: Path, style: str) -> None:
    rows = answered_facts(20, style)
    write_outputs(tmp_path, {"train": rows, "validation": rows[:2]})
    outputs = written(f"offline:{tmp_path}", tmp_path / "out", "answers", styles=(style,), style=style)
    expected = {row["context"]: row["query_label"] for row in rows}
    labels = [(row["context"], label_by_string(row, "exact")["query_label"]) for row in all_rows(outputs)]
    assert len(labels) == 22
    assert all(expected[context] == label for context, label in labels)


def test_every_row_is_written_or_listed(tmp_path: Path) -> None:
    rows = [row | {"query_label": value} for row, value in zip(ROWS, [0, 1, "", 2, "x", True] * 20, strict=True)]
    path = write(tmp_path / "mine.csv", rows)
    source = open_given(parse_place(str(path)), kind="labelled", model="m", style="oe", max_bad_rows=1)
    outputs = write_given(source, styles=["oe"], model="m", out=Location(str(tmp_path / "out")), rows_per_shard=9)
    check_counts(outputs)
    assert sum(output.manifest.counts["in"] for output in outputs.values()) == len(rows)
    assert sum(isinstance(row, RefusedGiven) for row in source.rows()) == 40


def test_what_is_exported_comes_in_as_it_was(tmp_path: Path) -> None:
    """A spreadsheet's formula is marked in the csv, and is the same text again."""
    rows = [
        answer(f"r{n}", "=1+1", text) | {"split": "train", "query_label": n % 2, **LABELS}
        for n, text in enumerate(["=cmd", "'=x", "-3", "None", ""])
    ]
    shards = (write_shard(Location(str(tmp_path / "labelled")), 0, rows, LABELLED),)
    manifest = Manifest(stage="labelled", key="k", config={}, shards=shards, counts={"out": len(rows)})
    output = StageOutput(place=Location(str(tmp_path / "labelled")), manifest=manifest, was_done=False)
    path = export_rows(output, "csv")
    source = open_given(parse_place(path), kind="labelled", model="m", style=None)
    names = [field.name for field in LABELLED]
    assert [{name: row[name] for name in names} for row in source.rows() if isinstance(row, dict)] == list(
        output.rows()
    )
