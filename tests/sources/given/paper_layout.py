"""Small files exactly as the paper's code and its authors' released sets lay them out; for tests of all rooms.

Source: github.com/activatedgeek/calibration-tuning: ``experiments/generate.py`` and ``llm/utils/generate_utils.py``
(the csv, by pandas), ``llm/datasets/offline/offline.py`` (the columns), ``experiments/publish.py``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from raycalib.sources.facts.questions import fact_questions
from raycalib.sources.given.released import released_dataset

RowsBySplit = Mapping[str, Sequence[dict[str, Any]]]

RELEASED = pa.schema(
    [
        ("context", pa.string()),
        ("target", pa.string()),
        ("target_prompt", pa.string()),
        ("output", pa.string()),
        ("query_label", pa.int32()),
    ]
)
"""The columns of a released set."""


def answered_facts(n: int, style: str = "oe", split: str = "train", seed: int = 0) -> list[dict[str, Any]]:
    """Questions about facts with an answer each, of which every second is right, and labels."""
    questions = fact_questions(style, split, seed, n)
    assert len(questions) == n, "there are not so many facts in the split"
    rows = []
    for index, question in enumerate(questions):
        target = question["target"]
        others = "abcd" if style == "choice" else [*(other["target"] for other in questions), "Nothing"]
        wrong = next(other for other in others if other != target)
        rows.append(
            {
                "context": question["context"],
                "target_prompt": question["target_prompt"],
                "target": target,
                "output": target if index % 2 else wrong,
                "query_label": index % 2,
            }
        )
    return rows


def write_outputs(root: Path, rows: RowsBySplit, ranks: int = 2, prompt: str = "") -> Path:
    """``root/outputs/<split>/rows_<rank>.csv``: what generating leaves, outputs as they came."""
    for split, of_split in rows.items():
        for rank in range(ranks):
            written = [
                {
                    "prompt": prompt,
                    "context": row["context"],
                    "target_prompt": row["target_prompt"],
                    "target": row["target"],
                    "output": f" {row['output']}\n\nQuestion: and more",
                }
                for row in of_split[rank::ranks]
            ]
            frame = pd.DataFrame(written)
            frame["query_label"] = -1
            _to_csv(frame, root / "outputs" / split / f"rows_{rank}.csv")
    return root


def write_labels(root: Path, rows: RowsBySplit, ranks: int = 2) -> Path:
    """``root/labels/<split>/<rank>.csv``: what labelling leaves."""
    for split, of_split in rows.items():
        for rank in range(ranks):
            names = ("context", "target_prompt", "target", "output", "query_label")
            frame = pd.DataFrame([{name: row[name] for name in names} for row in of_split[rank::ranks]])
            _to_csv(frame, root / "labels" / split / f"{rank}.csv")
    return root


def write_released(data_root: Path, model: str, style: str, rows: RowsBySplit) -> Path:
    """A copy of a released set below a data root, a parquet per split; returns its directory."""
    directory = data_root / released_dataset(model, style)
    directory.mkdir(parents=True, exist_ok=True)
    for split, of_split in rows.items():
        table = pa.Table.from_pylist([{name: row[name] for name in RELEASED.names} for row in of_split], RELEASED)
        parquet.write_table(table, directory / f"{split}.parquet")
    return directory


def _to_csv(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)
