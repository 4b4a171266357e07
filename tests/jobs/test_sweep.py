"""A sweep of two combos and four cells each; whole commands, as a user types them."""

import csv
from pathlib import Path
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from tests.jobs.commands import SMALL, files_below, run_job, summary

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1500)]
METHODS = ["--methods", "zero_shot_query,answer_likelihood,lora_prompt"]
AXES = ["--axis", "kl_decay=0,1", "--axis", "steps=2,4"]


def leaderboard(out: Path) -> list[dict[str, str]]:
    with (out / "sweep" / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def recomputed_choice(rows: list[dict[str, str]]) -> str:
    """The key of the cell to choose, from stored log-odds alone."""
    losses, nll = {}, {}
    for row in rows:
        table = pq.read_table(Path(row["place"].removeprefix("file://")) / "validation.parquet")
        margins, labels = table["margin"].to_numpy(), table["query_label"].to_numpy()

        def of(log_t: float, margins: np.ndarray = margins, labels: np.ndarray = labels) -> float:
            return float(log_loss(labels, 1 / (1 + np.exp(-margins / np.exp(log_t)))))

        best = minimize_scalar(of, bounds=(-6, 6), method="bounded", options={"xatol": 1e-10})
        scaled = margins / np.exp(best.x)
        losses[row["key"]] = np.log1p(np.exp(np.where(labels == 1, -scaled, scaled)))
        nll[row["key"]] = best.fun
        assert float(row["nll"]) == pytest.approx(best.fun, abs=1e-6)
    least = losses[min(nll, key=nll.__getitem__)]
    tied = [
        row
        for row in rows
        if (difference := losses[row["key"]] - least).mean() <= difference.std(ddof=1) / np.sqrt(len(difference))
    ]
    return min(tied, key=lambda row: (int(row["steps"]), -float(row["kl_decay"])))["key"]


def test_a_sweep_is_done_once_grows_by_new_cells_alone_and_its_choice_is_recomputed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*SMALL, *METHODS, *AXES, "--combos", "llama2:7b/*", "--out", str(out)]
    said = run_job("sweep", *command)
    assert re.search(r"  tuning 8 combo\(s\), \d+ at once\n", said)
    rows = leaderboard(out)
    assert len(rows) == 8
    assert {row["state"] for row in rows} == {"finished"}
    for combo in ("llama2:7b/oe", "llama2:7b/choice"):
        mine = [row for row in rows if row["combo"] == combo]
        assert len(mine) == 4
        assert [row["key"] for row in mine if row["chosen"] == "true"] == [recomputed_choice(mine)]
    scored = list((out / "scored").iterdir())
    assert {method for *_, method in summary(out)} >= {"lora_prompt", "lora_prompt+temperature", "zero_shot_query"}

    before = files_below(out / "tuned")
    again = run_job("sweep", *command)
    assert "starting a local Ray" not in again
    assert files_below(out / "tuned") == before
    assert leaderboard(out) == rows

    more = run_job("sweep", *[text.replace("kl_decay=0,1", "kl_decay=0,0.5,1") for text in command])
    assert "tuning 4 combo(s)" in more
    assert before.items() <= files_below(out / "tuned").items()
    assert len(leaderboard(out)) == 12
    assert len(scored) >= 2

    status = run_job("sweep", "--status", "--out", str(out))
    assert "12 trials: 12 finished" in status
    assert "least val NLL so far" in status

    pipeline = run_job("full_pipeline", *SMALL, *METHODS, "--tuning.steps", "2", "--out", str(out))
    assert "tuning 2 combo(s)" not in pipeline, "the cell kl_decay=1 steps=2 is the pipeline's own"


def test_trials_that_cannot_be_tuned_are_in_the_leaderboard_and_bounded(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*SMALL, *METHODS, "--styles", "oe", "--axis", "lr=1e-3,1e30", "--axis", "steps=4", "--out", str(out)]
    said = run_job("sweep", *command)
    assert "sweep: 2 trials, 1 failed" in said
    assert "llama2:7b/oe lr=1e+30 steps=4: failed: tuning: loss or gradient of step" in said
    done, failed = leaderboard(out)
    assert (done["state"], done["chosen"], failed["state"], failed["chosen"]) == ("finished", "true", "failed", "false")
    assert "is not finite" in failed["reason"]
    assert "lora_prompt" in {method for *_, method in summary(out)}

    said = run_job("sweep", *command, "--max-failed-trials", "0", code=2)
    assert "error: sweep: 1 of 2 trials are not tuned, and 0 may fail (--max-failed-trials); nothing is chosen" in said
    assert {row["chosen"] for row in leaderboard(out)} == {"false"}
    status = run_job("sweep", "--status", "--out", str(out))
    assert "2 trials: 1 finished, 1 failed" in status
    assert "llama2:7b/oe lr=1e+30 steps=4: failed: " in status


def test_probes_are_swept_without_a_language_model_and_the_chosen_one_is_evaluated(tmp_path: Path) -> None:
    out = tmp_path / "out"
    axes = ["--axis", "method=probe", "--axis", "train_rows=40,5000,all", "--axis", "kl_decay=0,1"]
    said = run_job("sweep", *SMALL, "--styles", "oe", *axes, "--out", str(out))
    assert not re.search(r"tuning \d+ combo", said)
    rows = leaderboard(out)
    assert {(row["method"], row["train_rows"], row["steps"]) for row in rows} == {
        ("probe", "40", ""),
        ("probe", "all", ""),
    }
    (chosen,) = [row for row in rows if row["chosen"] == "true"]
    assert chosen["key"] == recomputed_choice(
        [row | {"steps": row["train_rows"].replace("all", "999"), "kl_decay": "0"} for row in rows]
    )
    (fitted,) = (out / "fitted").glob("*/manifest.json")
    assert chosen["key"] in fitted.read_text()
    assert {"probe", "probe+temperature"} <= {method for *_, method in summary(out)}


@pytest.mark.long
def test_optuna_goes_on_where_it_was_and_asks_for_nothing_twice(tmp_path: Path) -> None:
    out = tmp_path / "out"
    axes = ["--axis", "method=probe", "--axis", "train_rows=16,24,32,40,48,56", "--axis", "seed=1,2"]
    command = [*SMALL, "--styles", "oe", *axes, "--search", "optuna", "--out", str(out)]
    run_job("sweep", *command, "--samples", "6")
    first, before = leaderboard(out), files_below(out / "tuned")
    assert len({row["key"] for row in first}) == 6
    assert {row["state"] for row in first} == {"finished"}

    run_job("sweep", *command, "--samples", "6")
    assert leaderboard(out) == first
    assert files_below(out / "tuned") == before

    run_job("sweep", *command, "--samples", "9")
    assert {row["key"] for row in first} < {row["key"] for row in leaderboard(out)}
    assert before.items() <= files_below(out / "tuned").items()
    assert len(leaderboard(out)) == 9
