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
from raycalib.sources import SourceSettings, draw_questions
from raycalib.sources.facts.questions import fact_questions
from raycalib.sources.facts.splits import SPLITS
from raycalib.stages import questions
from raycalib.stages.questions import write_questions
from raycalib.storage import Location, read_shard
from tests.sources.drawn import write

ROWS: list[dict[str, Any]] = [
    {"question": f"{index}?", "answer": "x", "options": ["x", "y"], "split": SPLITS[index % 5]} for index in range(103)
]


def run(out: Path, name: str, *, rows_per_shard: int = 10, styles: tuple[str, ...] = ("oe",), **settings: Any) -> Any:
    return write_questions(SourceSettings(name=name, **settings), styles, 1, rows_per_shard, Location(str(out)))


def test_shards_hold_one_split_and_style_each_and_all_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", ROWS)
    output = run(tmp_path / "out", f"file:{path}", styles=("oe", "choice"))
    shards = [read_shard(output.place, name) for name in output.shards]
    assert all(len({(row["split"], row["style"]) for row in shard}) == 1 for shard in shards)
    assert all(len(shard) <= 10 for shard in shards)
    drawn = list(draw_questions(SourceSettings(name=f"file:{path}"), ["oe", "choice"], 1))
    for key in {(row["split"], row["style"]) for row in drawn}:
        written = [row for shard in shards for row in shard if (row["split"], row["style"]) == key]
        assert written == [row for row in drawn if (row["split"], row["style"]) == key]
    counts = output.manifest.counts
    assert (counts["read"], counts["in"], counts["out"], counts["refused"], counts["errors"]) == (206, 206, 206, 0, 0)
    assert counts["train/oe"] == counts["train/choice"] == 21
    assert run(tmp_path / "out", f"file:{path}", styles=("oe", "choice")).was_done


def test_facts_shards_are_as_they_always_were(tmp_path: Path) -> None:
    limits = {"train": 25, "val_select": 7, "val_calibrate": 10, "test": 11, "heldout_families": 3}
    output = run(tmp_path, "facts", limits=limits, styles=("oe", "choice"))
    expected = []
    for style in ("oe", "choice"):
        for split in SPLITS:
            rows = fact_questions(style, split, 1, limits[split])
            expected += [rows[start : start + 10] for start in range(0, len(rows), 10)]
    assert [read_shard(output.place, name) for name in output.shards] == expected


def test_refused_rows_are_listed_and_counted(tmp_path: Path) -> None:
    rows = [*ROWS, ROWS[0] | {"answer": ""}, ROWS[0] | {"options": ["x", "x"], "answer": "\x1b🦊"}]
    path = write(tmp_path / "mine.parquet", rows)
    output = run(tmp_path / "out", f"file:{path}", max_bad_rows=0.02, limits={"train": 5})
    counts = output.manifest.counts
    assert (counts["read"], counts["in"], counts["out"], counts["refused"]) == (105, 89, 87, 2)
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
from raycalib.sources import SourceSettings
from raycalib.stages.questions import write_questions
from raycalib.storage import Location
name, out = sys.argv[1:]
output = write_questions(SourceSettings(name=name, limits={"train": 15}), ("oe", "choice"), 1, 7, Location(out))
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
