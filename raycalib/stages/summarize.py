"""From predictions to the summary and the report; cells are computed in parallel on Ray."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
import math
from typing import Any

import ray

from raycalib.evaluation.figures import figures, reliability, risk_coverage, scored, task_figures
from raycalib.records import Row
from raycalib.reports import baseline_remarks, reason_lines, render_page
from raycalib.secrets import hide_all
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageOutput, stage_key
from raycalib.stages.progress import ShardProgress
from raycalib.stages.worker_streams import clean_errors, clean_streams
from raycalib.storage import Location, git_commit, read_shard, versions

TEST, FRESH, HELDOUT = "test", "test_fresh_entities", "heldout_families"
SPLITS = (TEST, FRESH, HELDOUT)
REPORT_VERSION = 1
"""Of what figures are computed and shown; a report of another version is made again."""
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
        trainings: per combo ``{model, style, n, best_step, history}``; ``n`` rows give each NLL of the history.
        config: the run's resolved configuration, for the page.
        n_resamples: of the bootstrap.
        out: the run's directory.
        cluster: where cells are computed.
        notes: what a reader of the figures must know, such as who judged.
    """
    place = out / "report"
    settings = {"n_resamples": n_resamples, "notes": list(notes), "version": REPORT_VERSION}
    key = stage_key("report", settings, [output.key for output in predictions])
    if all(place.exists(name) for name in (REPORT_NAME, PAGE_NAME, SUMMARY_NAME)):
        report = place.read_json(REPORT_NAME)
        if report.get("key") == key:
            return report["summary"], True
    cells = _cells(predictions, n_resamples, cluster)
    report = make_report(cells, holes_of(predictions), temperatures_of(predictions), trainings, notes)
    report |= {"key": key, "created": datetime.now(UTC).isoformat(timespec="seconds"), "config": config}
    report |= {"versions": versions(), "git_commit": git_commit()}
    summary = report["summary"]
    place.write_json(SUMMARY_NAME, summary)
    place.write_bytes(PAGE_NAME, render_page(hide_all(report)).encode())
    place.write_json(REPORT_NAME, report)
    return summary, False


def make_report(
    cells: Sequence[dict[str, Any]],
    holes: Mapping[tuple[str, ...], str],
    temperatures: Sequence[dict[str, Any]],
    trainings: Sequence[dict[str, Any]],
    notes: Sequence[str],
) -> dict[str, Any]:
    """What the page shows of the cells: plain values, none of them NaN or infinite.

    Args:
        cells: of ``shard_cells``, all methods and combos.
        holes: by model, style and method, why there are no confidences.
        temperatures: what was fitted, or why not.
        trainings: see ``summarize``.
        notes: see ``summarize``.
    """
    summary = [cell["summary"] for cell in cells]
    for row in summary:
        row["reason"] = holes.get((row["model"], row["style"], row["method"])) or row["reason"]
    report = {
        "title": "raycalib: how likely are these answers to be right?",
        "summary": summary,
        "reliability": [cell["reliability"] for cell in cells if cell["reliability"]],
        "risk_coverage": [cell["risk_coverage"] for cell in cells if cell["risk_coverage"]],
        "tasks": _tasks(cells),
        "training": list(trainings),
        "temperatures": list(temperatures),
        "notes": [*notes, *reason_lines(summary), *baseline_remarks(summary)],
    }
    plain: dict[str, Any] = finite(report)
    return plain


def finite(value: Any) -> Any:
    """The value with None for numbers that are NaN or infinite, at any depth: JSON has no words for them."""
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    clean_streams()
    with clean_errors():
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
        n = len(data.labels)
        curves = n > 0 and split != FRESH
        cells.append(
            {
                "summary": name | figures(data, n_resamples, seed=137),
                "reliability": name | {"n": n} | reliability(data) if curves else None,
                "risk_coverage": name | {"n": n} | risk_coverage(data) if curves else None,
                "tasks": (name, task_figures(data)) if curves else None,
            }
        )
    return cells


def _tasks(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record per combo, split and task with the AUROC of every method; each of its own ``n_of`` rows.

    ``n`` and ``accuracy`` are of the method that has the most rows: one may leave out some that another has.
    """
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
                    "n_of": {},
                },
            )
            if n > record["n"]:
                record |= {"n": n, "accuracy": accuracy}
            record["auroc"][name["method"]] = auroc
            record["n_of"][name["method"]] = n
    return list(records.values())


def temperatures_of(predictions: Sequence[StageOutput]) -> list[dict[str, Any]]:
    """One record per combo and method that has a temperature, or a reason why not."""
    return [
        {"model": output.manifest.config["model"], "style": output.manifest.config["style"], **fitted}
        for output in predictions
        for fitted in output.manifest.details["temperatures"]
    ]


def holes_of(predictions: Sequence[StageOutput]) -> dict[tuple[str, ...], str]:
    """By model, style and method, why a method has no confidences."""
    return {
        (output.manifest.config["model"], output.manifest.config["style"], method): reason
        for output in predictions
        for method, reason in output.manifest.details["holes"].items()
    }
