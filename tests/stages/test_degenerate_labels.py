"""Any labels, logits and features, from rows of stages to summary, table and page: no figure without n, no abort.

Without Ray: the cells are computed here one after the other.
"""

from io import StringIO
import json
import math
from pathlib import Path
import tempfile
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import numpy as np
from rich.console import Console

from raycalib.config import METHODS
from raycalib.evaluation.figures import figures, reliability, risk_coverage, scored, task_figures
from raycalib.records import Row
from raycalib.reports import print_summary, render_page
from raycalib.reports.figures import best_text, figure, is_degenerate
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.figures import shard_cells
from raycalib.stages.predictions.fit import Fitted
from raycalib.stages.predictions.summarize import make_report
from raycalib.steps.evaluation import Evaluation
from raycalib.steps.records import Records, record_of, shown_of
from raycalib.storage import Location
from raycalib.tuning.label_counts import LEAST_TO_FIT
from raycalib.tuning.settings import ProbeSettings
from raycalib.tuning.temperature_check import fit_checked
from tests.stages.combos import COMBO, evaluated, labelled_row

WANTED = [method for method in METHODS if method != "lora"]
PROBE = ProbeSettings(steps=2, batch_size=4, eval_every=1)
METRICS = ("accuracy", "ece", "auroc", "brier", "nll", "aurc")
ODD = [math.inf, -math.inf, math.nan, 0.0, -0.0, 1e308, -1e308, 1e-320, 700.0, -750.0]
NUMBERS = st.none() | st.sampled_from(ODD) | st.floats(-4, 4) | st.integers(-2, 2).map(float)
LABELS = st.sampled_from([0, 1, 1, 0, None])
SPLITS = ("train", "val_select", "val_calibrate", "test", "heldout_families")


@st.composite
def evaluated_rows(draw: st.DrawFn) -> list[Row]:
    """Prediction rows of one split: labels of one class, of two, or none; ties, and what is not finite."""
    labels = draw(st.sampled_from([st.just(0), st.just(1), st.none(), LABELS]))
    rows = draw(st.lists(st.tuples(labels, NUMBERS, NUMBERS | st.floats(0, 1), st.sampled_from("abc")), max_size=14))
    return [
        {"query_label": label, "logit": logit, "p_correct": p_correct, "task": task, "group": group}
        for (label, logit, p_correct, task), group in zip(rows, "aabbccddeeffgg", strict=False)
    ]


def check_json(value: Any) -> None:
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@given(rows=evaluated_rows())
@settings(max_examples=100)
def test_figures_of_any_predictions_are_numbers_with_their_n_or_none(rows: list[Row]) -> None:
    data = scored(rows)
    found = figures(data, n_resamples=4, seed=1)
    check_json(found)
    assert found["n"] + found["n_unscored"] == len(rows)
    assert found["n"] or all(found[name]["value"] is None for name in METRICS)
    assert bool(found["reason"]) == (found["auroc"]["value"] is None)
    assert (found["within_task_auroc"]["value"] is None) == (found["within_task_auroc"]["n"] == 0)
    if found["n"]:
        for value in (reliability(data), risk_coverage(data), task_figures(data)):
            check_json([value] if isinstance(value, list) else {name: list(part) for name, part in value.items()})
        assert sum(n for n, _, _ in task_figures(data).values()) == found["n"]


@given(
    margins=st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-2, 2).map(float), max_size=60),
    data=st.data(),
)
@settings(max_examples=100)
def test_a_temperature_is_within_its_bounds_and_of_enough_rows_or_has_a_reason(margins: list[float], data: Any) -> None:
    margins *= data.draw(st.sampled_from([1, 3, 9]))
    kinds = st.sampled_from([st.just(0), st.just(1), st.integers(0, 1)])
    labels = data.draw(st.lists(data.draw(kinds), min_size=len(margins), max_size=len(margins)))
    checked = fit_checked(np.array(margins, dtype=float), np.array(labels, dtype=int))
    assert checked.n == len(margins)
    assert (checked.fitted is None) == bool(checked.reason)
    if checked.fitted is not None:
        assert checked.n >= LEAST_TO_FIT
        assert len(set(labels)) == 2
        assert -6 < checked.fitted.log_temperature < 6
        assert checked.fitted.nll_after <= checked.fitted.nll_before + 1e-12


@st.composite
def stage_rows(draw: st.DrawFn) -> list[Row]:
    """Rows of all stages and splits; each split has labels of a kind of its own."""
    rows: list[Row] = []
    for split in SPLITS:
        labels = draw(st.sampled_from([st.just(0), st.just(1), st.none(), LABELS, LABELS]))
        n = draw(st.sampled_from([0, 1, 3, 12] if split != "val_calibrate" else [0, 3, 60]))
        values = draw(st.sampled_from([NUMBERS, st.just(0.5), st.floats(-3, 3)]))
        for _ in range(n):
            feature = draw(
                st.none() | st.lists(st.sampled_from([0.0, 1.0, math.nan, math.inf, -2.5]), min_size=2, max_size=2)
            )
            rows.append(
                labelled_row(
                    draw(st.integers(0, 5)),
                    split,
                    draw(labels),
                    task=draw(st.sampled_from("ab")),
                    logits=(draw(values), draw(values)),
                    tuned=(0.0, draw(values)),
                    feature=feature,
                    log_likelihood=draw(st.sampled_from([None, 0.0, -1.5, -math.inf, math.nan, -1e308])),
                )
            )
    return rows


@given(rows=stage_rows(), page=st.integers(0, 7))
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
def test_any_rows_come_to_a_report(rows: list[Row], page: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Location(directory)
        fitted, outputs = evaluated(place, rows, WANTED, PROBE)
        report = report_of(fitted, outputs)
        place.write_json("summary.json", report["summary"])
        assert json.loads((Path(directory) / "summary.json").read_text()) == report["summary"]
    check_summary(report["summary"], rows)
    check_temperatures(report, rows)
    table = StringIO()
    print_summary(report["summary"], Console(file=table, width=120, color_system=None))
    for row in report["summary"]:
        if row["split"] in ("test", "heldout_families"):
            assert not row["reason"] or row["reason"][:40] in " ".join(table.getvalue().split())
    if page == 0:  # drawing takes a second
        text = render_page(report)
        assert text.count('class="num best"') == 0 or any(not is_degenerate(row) for row in report["summary"])
        assert "nan" not in text.replace("finance", "").split("<script>")[0].split("</style>")[1].lower().split()


def report_of(fitted: Fitted, outputs: dict[str, StageOutput]) -> dict[str, Any]:
    cells = [cell for output in outputs.values() for rows in _shards(output) for cell in shard_cells(rows, 3)]
    history = [{"step": 1, "val_nll": math.nan}, {"step": 2, "val_nll": 0.5}]
    training = {"model": "m", "style": "oe", "n": 3, "best_step": 1, "best_nll": math.inf, "history": history}
    evaluations = [
        Evaluation(combo=COMBO, set=name, output=output, fitted=fitted, trainings=[training], notes=["note"])
        for name, output in outputs.items()
    ]
    records = Records([record_of(each, each.output) for each in evaluations], [])
    report = make_report(cells, **shown_of(records))
    check_json(report)
    return report


def _shards(output: StageOutput) -> list[list[Row]]:
    by_method: dict[str, list[Row]] = {}
    for row in output.rows():
        by_method.setdefault(row["method"], []).append(row)
    return list(by_method.values())


def check_summary(summary: list[Row], rows: list[Row]) -> None:
    n_rows = {split: sum(row["split"] == split for row in rows) for split in ("test", "heldout_families")}
    for row in summary:
        if row["split"] in n_rows:
            assert row["n"] + row["n_unscored"] == n_rows[row["split"]]
        for metric in METRICS:
            assert row[metric]["value"] is None or row["n"] > 0
        assert row["reason"] or 0 < row["accuracy"]["value"] < 1
        assert not row["reason"] or is_degenerate(row)
    for split in n_rows:
        of_split = [row for row in summary if row["split"] == split]
        for metric in ("ece", "auroc"):
            best = best_text(of_split, metric)
            telling = [row for row in of_split if not row["reason"] and figure(row, metric) is not None]
            assert (best is None) == (len(telling) < 2)


def check_temperatures(report: dict[str, Any], rows: list[Row]) -> None:
    labels = {row["query_label"] for row in rows if row["split"] == "val_calibrate"} - {None}
    assert len(report["temperatures"]) == len([method for method in WANTED if method != "option_likelihood"])
    for row in report["temperatures"]:
        assert (row["temperature"] is None) == bool(row["reason"])
        if row["temperature"] is not None:
            assert row["n"] >= LEAST_TO_FIT
            assert labels == {0, 1}
            assert 0.0025 < row["temperature"] < 403
