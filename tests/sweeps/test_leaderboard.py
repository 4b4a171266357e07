"""The leaderboard's rows and files."""

import csv
from dataclasses import replace
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from raycalib.storage import Location
from raycalib.sweeps.leaderboard import SCHEMA, leaderboard, write_leaderboard
from tests.sweeps.test_selection import trial


def test_rows_are_ranked_within_their_combo_and_failed_ones_are_last(tmp_path: Path) -> None:
    first, second = trial([0.2, 0.4], steps=5, train_rows=0), trial([0.1, 0.3], steps=9, train_rows=200)
    failed = replace(
        trial([0.0, 0.0], steps=7), nll=None, ece=None, auroc=None, reason="=HYPERLINK(1)", losses=np.empty(0)
    )
    second = replace(second, seconds=12.5, gpus=2)
    other = trial([0.9, 0.8], combo="b/oe", steps=5)
    rows = leaderboard([first, failed, second, other], {second.key, other.key})
    assert [(row["combo"], row["rank"], row["steps"], row["chosen"], row["state"]) for row in rows] == [
        ("m/oe", 1, 9, True, "finished"),
        ("m/oe", 2, 5, False, "finished"),
        ("m/oe", None, 7, False, "failed"),
        ("b/oe", 1, 5, True, "finished"),
    ]
    assert [row["train_rows"] for row in rows] == ["200", "all", "all", "all"]
    assert [(row["seconds"], row["gpus"]) for row in rows[:2]] == [(12.5, 2), (None, None)]
    assert (rows[0]["n"], rows[2]["n"], rows[2]["nll"]) == (2, None, None)

    write_leaderboard(Location(str(tmp_path)), rows)
    assert pq.read_table(tmp_path / "leaderboard.parquet").schema.equals(SCHEMA)
    assert pq.read_table(tmp_path / "leaderboard.parquet").to_pylist() == rows
    written = list(csv.DictReader(io.StringIO((tmp_path / "leaderboard.csv").read_text())))
    assert len(written) == 4
    assert float(written[0]["nll"]) == rows[0]["nll"]
    assert written[2]["reason"] == "'=HYPERLINK(1)"
    assert (written[0]["chosen"], written[2]["rank"]) == ("true", "")
