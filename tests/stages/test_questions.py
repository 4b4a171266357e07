"""From sources to shards; no Ray."""

from collections import Counter
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest

from raycalib.errors import DataError
from raycalib.sources import SourceSettings, draw_questions, evaluation_sets, training_set
from raycalib.sources.facts.questions import fact_questions
from raycalib.sources.facts.splits import SPLITS
from raycalib.sources.question_sets import TRAINING_SPLITS
from raycalib.stages import questions
from raycalib.stages.output import StageOutput
from raycalib.stages.questions import write_question_set
from raycalib.storage import Location, read_shard
from tests.sources.drawn import write

ROWS: list[dict[str, Any]] = [
    {"question": f"{index}?", "answer": "x", "options": ["x", "y"], "split": SPLITS[index % 5]} for index in range(103)
]


def run(out: Path, name: str, *, of: str = "training", style: str = "oe", **settings: Any) -> StageOutput:
    source = SourceSettings(name=name, **settings)
    (found,) = [each for each in [training_set(source), *evaluation_sets(source, [])] if each.name == of]
    return write_question_set(found, style, 1, 10, Location(str(out)))


def test_shards_hold_one_split_each_and_all_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", ROWS)
    for style in ("oe", "choice"):
        output = run(tmp_path / "out", f"file:{path}", style=style)
        shards = [read_shard(output.place, name) for name in output.shards]
        assert all(len({(row["split"], row["style"]) for row in shard}) == 1 for shard in shards)
        assert all(len(shard) <= 10 for shard in shards)
        whole = [
            row for row in draw_questions(SourceSettings(name=f"file:{path}"), [style], 1) if isinstance(row, dict)
        ]
        for split in TRAINING_SPLITS:
            written = [row for shard in shards for row in shard if row["split"] == split]
            assert written == [row for row in whole if row["split"] == split]
        counts = output.manifest.counts
        assert (counts["read"], counts["in"], counts["out"], counts["refused"], counts["errors"]) == (103, 63, 63, 0, 0)
        assert counts[f"train/{style}"] == 21
        assert run(tmp_path / "out", f"file:{path}", style=style).was_done


def test_facts_shards_are_as_they_always_were(tmp_path: Path) -> None:
    limits = {"train": 25, "val_select": 7, "val_calibrate": 10, "test": 11, "heldout_families": 3}
    for of, splits in {
        "training": TRAINING_SPLITS,
        "test": ("test",),
        "heldout_families": ("heldout_families",),
    }.items():
        output = run(tmp_path, "facts", of=of, limits=limits)
        rows = [fact_questions("oe", split, 1, limits[split]) for split in splits]
        expected = [of_split[start : start + 10] for of_split in rows for start in range(0, len(of_split), 10)]
        assert [read_shard(output.place, name) for name in output.shards] == expected


def test_a_set_is_drawn_anew_for_a_limit_of_its_own_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", ROWS)
    first = run(tmp_path / "out", f"file:{path}")
    assert run(tmp_path / "out", f"file:{path}", limits={"test": 3}).key == first.key
    test = run(tmp_path / "out", f"file:{path}", of="test", limits={"test": 3})
    assert test.manifest.counts["out"] == 3
    assert run(tmp_path / "out", f"file:{path}", of="test", limits={"train": 3}).manifest.counts["out"] == 20


def test_a_set_may_be_empty_and_a_training_set_lacks_no_split(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [row for row in ROWS if row["split"] in TRAINING_SPLITS])
    empty = run(tmp_path / "out", f"file:{path}", of="test")
    assert (empty.shards, empty.manifest.counts["out"]) == ((), 0)
    assert run(tmp_path / "out", f"file:{path}", of="test").was_done
    path = write(tmp_path / "less.jsonl", [row for row in ROWS if row["split"] != "val_select"])
    with pytest.raises(DataError, match="no oe questions in split val_select"):
        run(tmp_path / "out", f"file:{path}")


def test_refused_rows_are_listed_and_counted(tmp_path: Path) -> None:
    rows = [*ROWS, ROWS[0] | {"answer": ""}, ROWS[0] | {"options": ["x", "x"], "answer": "\x1b🦊"}]
    path = write(tmp_path / "mine.parquet", rows)
    output = run(tmp_path / "out", f"file:{path}", max_bad_rows=0.02, limits={"train": 5})
    counts = output.manifest.counts
    assert (counts["read"], counts["in"], counts["out"], counts["refused"]) == (105, 49, 47, 2)
    assert counts["in"] == counts["out"] + counts["refused"]
    assert counts["read"] == counts["in"] + counts["left_out"]
    listed = output.place.read_bytes("refused.jsonl")
    assert listed.isascii()
    refused = [json.loads(line) for line in listed.splitlines()]
    assert [(r["source"], r["place"], r["row"], r["field"]) for r in refused] == [
        ("file:mine.parquet", str(path), 104, "answer"),
        ("file:mine.parquet", str(path), 105, "options"),
    ]
    assert refused[0]["reason"] == "'answer' is empty"
    assert output.manifest.details["by_source"]["file:mine.parquet"]["bad"] == 2
    assert "question is 'question'" in output.manifest.details["notes"][0]


def test_too_many_bad_rows_leave_no_finished_stage(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [*ROWS, *[{"question": "", "answer": "x"}] * 3])
    with pytest.raises(DataError, match="3 of 106 rows are unusable"):
        run(tmp_path / "out", f"file:{path}")
    assert not list((tmp_path / "out").rglob("manifest.json"))
    (listed,) = (tmp_path / "out").rglob("refused.jsonl")
    assert [json.loads(line)["row"] for line in listed.read_text().splitlines()] == [104, 105, 106]


def test_fewer_bad_rows_allowed_than_when_the_questions_were_made(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [*ROWS, *[{"question": "", "answer": "x"}] * 3])
    assert not run(tmp_path / "out", f"file:{path}", max_bad_rows=0.5).was_done
    assert run(tmp_path / "out", f"file:{path}", max_bad_rows=0.5).was_done
    with pytest.raises(DataError, match="3 of 106 rows are unusable"):
        run(tmp_path / "out", f"file:{path}")


def test_long_questions_make_small_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MAX_SHARD_CHARACTERS", 100)
    path = write(tmp_path / "mine.jsonl", [row | {"question": row["question"] * 20} for row in ROWS])
    output = run(tmp_path / "out", f"file:{path}")
    sizes = Counter(len(read_shard(output.place, name)) for name in output.shards)
    assert max(sizes) <= 4


SCRIPT = """
import sys
from pathlib import Path
from raycalib.sources import SourceSettings, training_set
from raycalib.stages.questions import write_question_set
from raycalib.storage import Location
name, out = sys.argv[1:]
for style in ("oe", "choice"):
    source = training_set(SourceSettings(name=name, limits={"train": 15}))
    output = write_question_set(source, style, 1, 7, Location(out))
    for shard in output.shards:
        sys.stdout.buffer.write((output.place.local_path / shard).read_bytes())
"""


def test_shards_are_byte_equal_whatever_the_hash_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [*ROWS, *ROWS[:20]])
    contents = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, f"file:{path}+facts:9", str(tmp_path / hash_seed)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
        ).stdout
        for hash_seed in ("0", "1", "424242")
    }
    (content,) = contents
    assert len(content) > 1000
