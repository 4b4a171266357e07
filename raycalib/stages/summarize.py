"""From predictions to the summary and the report; cells are computed in parallel on Ray."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import ray

from raycalib.evaluation.figures import figures, reliability, risk_coverage, scored, task_figures
from raycalib.records import Row
from raycalib.reports import baseline_remarks, render_page
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageOutput, stage_key
from raycalib.stages.progress import ShardProgress
from raycalib.storage import Location, git_commit, read_shard, versions

TEST, FRESH, HELDOUT = "test", "test_fresh_entities", "heldout_families"
SPLITS = (TEST, FRESH, HELDOUT)
SUMMARY_NAME, REPORT_NAME, PAGE_NAME = "summary.json", "report.json", "index.html"


def summarize(
    predictions: Sequence[StageOutput],
    trainings: Sequence[dict[str, Any]],
    config: dict[str, Any],
    n_resamples: int,
    out: Location,
    cluster: Cluster,
    notes: Sequence[str] = (),
) -> tuple[list[dict[str, Any]], bool]:
    """Writes ``report/summary.json``, ``report.json`` and ``index.html``; returns the summary and whether it was there.

    Args:
        predictions: one output per combo.
        trainings: per combo ``{model, style, best_step, history}``.
        config: the run's resolved configuration, for the page.
        n_resamples: of the bootstrap.
        out: the run's directory.
        cluster: where cells are computed.
        notes: what a reader of the figures must know, such as who judged.
    """
    place = out / "report"
    key = stage_key("report", {"n_resamples": n_resamples}, [output.key for output in predictions])
    if place.exists(REPORT_NAME) and place.exists(PAGE_NAME):
        report = place.read_json(REPORT_NAME)
        if report.get("key") == key:
            return report["summary"], True
    cells = _cells(predictions, n_resamples, cluster)
    summary = [cell["summary"] for cell in cells]
    report = {
        "key": key,
        "title": "raycalib: how likely are these answers to be right?",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config,
        "versions": versions(),
        "git_commit": git_commit(),
        "summary": summary,
        "reliability": [cell["reliability"] for cell in cells if cell["reliability"]],
        "risk_coverage": [cell["risk_coverage"] for cell in cells if cell["risk_coverage"]],
        "tasks": _tasks(cells),
        "training": list(trainings),
        "temperatures": _temperatures(predictions),
        "notes": [*notes, *baseline_remarks(summary)],
    }
    place.write_json(SUMMARY_NAME, summary)
    place.write_bytes(PAGE_NAME, render_page(report).encode())
    place.write_json(REPORT_NAME, report)
    return summary, False


def _cells(predictions: Sequence[StageOutput], n_resamples: int, cluster: Cluster) -> list[dict[str, Any]]:
    cluster.connect()
    places = [(output.place, name) for output in predictions for name in output.shards]
    progress = ShardProgress("evaluate", len(places))
    waiting = {_shard_cells.remote(place, name, n_resamples): index for index, (place, name) in enumerate(places)}
    found: dict[int, list[dict[str, Any]]] = {}
    left = list(waiting)
    while left:
        ready, left = ray.wait(left)
        for reference in ready:
            found[waiting[reference]] = ray.get(reference)
            progress.add(sum(cell["summary"]["n"] for cell in found[waiting[reference]]), 0)
    return [cell for index in range(len(places)) for cell in found[index]]


@ray.remote(num_cpus=1, max_retries=3)
def _shard_cells(place: Location, name: str, n_resamples: int) -> list[dict[str, Any]]:
    return shard_cells(read_shard(place, name), n_resamples)


def shard_cells(rows: list[Row], n_resamples: int) -> list[dict[str, Any]]:
    """Figures and curves of one method of one combo on each split."""
    by_split = {
        TEST: [row for row in rows if row["split"] == TEST],
        FRESH: [row for row in rows if row["split"] == TEST and row["fresh_entity"]],
        HELDOUT: [row for row in rows if row["split"] == HELDOUT],
    }
    cells = []
    for split, of_split in by_split.items():
        if not of_split:
            continue
        data = scored(of_split)
        name = {
            "model": of_split[0]["model"],
            "style": of_split[0]["style"],
            "method": of_split[0]["method"],
            "split": split,
        }
        curves = len(data.labels) > 0 and split != FRESH
        cells.append(
            {
                "summary": name | figures(data, n_resamples, seed=137),
                "reliability": name | reliability(data) if curves else None,
                "risk_coverage": name | risk_coverage(data) if curves else None,
                "tasks": (name, task_figures(data)) if curves else None,
            }
        )
    return cells


def _tasks(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record per combo, split and task with the AUROC of every method."""
    records: dict[tuple[str, ...], dict[str, Any]] = {}
    for cell in cells:
        if not cell["tasks"]:
            continue
        name, tasks = cell["tasks"]
        for task, (n, accuracy, auroc) in tasks.items():
            key = (name["model"], name["style"], name["split"], task)
            record = records.setdefault(
                key,
                {
                    "model": key[0],
                    "style": key[1],
                    "split": key[2],
                    "task": task,
                    "n": n,
                    "accuracy": accuracy,
                    "auroc": {},
                },
            )
            record["auroc"][name["method"]] = auroc
    return list(records.values())


def _temperatures(predictions: Sequence[StageOutput]) -> list[dict[str, Any]]:
    return [
        {"model": output.manifest.config["model"], "style": output.manifest.config["style"], **fitted}
        for output in predictions
        for fitted in output.manifest.details["temperatures"]
    ]
