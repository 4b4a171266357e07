"""The leaderboard: a row for each trial, best first within its combo."""

from collections.abc import Collection, Sequence
import csv
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raycalib.evaluation.methods import LORA_PROMPT
from raycalib.storage import Location
from raycalib.storage.csv_cells import write_cell
from raycalib.sweeps.axes import SEED, shown_value
from raycalib.sweeps.trials import Trial

NAME = "leaderboard"
SCHEMA = pa.schema(
    [
        pa.field("rank", pa.int32(), nullable=True),
        pa.field("combo", pa.string(), nullable=False),
        pa.field("chosen", pa.bool_(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("kl_decay", pa.float64(), nullable=True),
        pa.field("kl_kind", pa.string(), nullable=True),
        pa.field("steps", pa.int32(), nullable=True),
        pa.field("lr", pa.float64(), nullable=True),
        pa.field("train_rows", pa.string(), nullable=False),
        pa.field(SEED, pa.int64(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("best_step", pa.int32(), nullable=True),
        pa.field("n", pa.int32(), nullable=True),
        pa.field("nll", pa.float64(), nullable=True),
        pa.field("nll_se", pa.float64(), nullable=True),
        pa.field("ece", pa.float64(), nullable=True),
        pa.field("auroc", pa.float64(), nullable=True),
        pa.field("seconds", pa.float64(), nullable=True),
        pa.field("gpus", pa.int32(), nullable=True),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("place", pa.string(), nullable=False),
    ]
)
"""``rank`` counts from 1 within a combo by ``nll``, of trials that failed or were stopped it is null; ``n`` and all
behind it to ``auroc`` are of ``val_select`` at ``best_step``, with the temperature that suits these rows best.
``kl_decay`` and ``kl_kind`` are null where nothing hangs on them, and so are ``steps`` and ``lr`` of probes, which the
run's settings decide. ``seconds`` are of wall time over all attempts of a trial, on so many ``gpus`` at once; null
where nothing noted it."""


def leaderboard(trials: Sequence[Trial], chosen: Collection[str]) -> list[dict[str, Any]]:
    """Rows of SCHEMA, by combo in its order, within it by NLL, trials without one last.

    Args:
        trials: of the sweep.
        chosen: keys of those that are chosen.
    """
    combos = dict.fromkeys(trial.cell.combo for trial in trials)
    rows = []
    for combo in combos:
        mine = [trial for trial in trials if trial.cell.combo == combo]
        ranked = sorted(mine, key=lambda trial: np.inf if trial.nll is None else trial.nll)
        rows += [_row(trial, rank, trial.key in chosen) for rank, trial in enumerate(ranked, 1)]
    return rows


def _row(trial: Trial, rank: int, is_chosen: bool) -> dict[str, Any]:
    settings, is_done = trial.cell.settings, trial.nll is not None
    compares = settings.method == LORA_PROMPT
    return {
        "rank": rank if is_done else None,
        "combo": trial.cell.combo,
        "chosen": is_chosen,
        "method": settings.method,
        "kl_decay": settings.kl_decay if compares else None,
        "kl_kind": settings.kl_kind if compares and settings.kl_decay else None,
        "steps": None if trial.cell.is_probe else settings.steps,
        "lr": None if trial.cell.is_probe else settings.lr,
        "train_rows": shown_value("train_rows", settings.train_rows),
        SEED: trial.cell.seed,
        "state": trial.state,
        "best_step": trial.best_step,
        "n": trial.n if is_done else None,
        "nll": trial.nll,
        "nll_se": trial.nll_se,
        "ece": trial.ece,
        "auroc": trial.auroc,
        "seconds": trial.seconds,
        "gpus": trial.gpus,
        "reason": trial.reason,
        "key": trial.key,
        "place": trial.place,
    }


def write_leaderboard(place: Location, rows: Sequence[dict[str, Any]]) -> None:
    """Writes ``leaderboard.csv``, in which a spreadsheet finds no formula, and ``leaderboard.parquet``."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(SCHEMA.names)
    for row in rows:
        writer.writerow([write_cell(row[field.name], field) for field in SCHEMA])
    place.write_bytes(f"{NAME}.csv", text.getvalue().encode())
    whole = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), whole)
    place.write_bytes(f"{NAME}.parquet", whole.getvalue())
