"""From figures to the summary and the page."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from raycalib.reports import baseline_remarks, reason_lines, render_page
from raycalib.secrets import hide_all
from raycalib.stages.output import stage_key
from raycalib.stages.predictions.figures import FRESH, TEST, finite
from raycalib.storage import Location, git_commit, versions

VERSION = 2
"""Goes up where the page or the summary shows other things; a report of another version is made again."""

SUMMARY_NAME, REPORT_NAME, PAGE_NAME = "summary.json", "report.json", "index.html"
TITLE = "raycalib: how likely are these answers to be right?"


def summarize(
    cells: Sequence[dict[str, Any]],
    *,
    keys: Sequence[str],
    shown: Mapping[str, Any],
    config: Mapping[str, Any],
    place: Location,
) -> tuple[list[dict[str, Any]], bool]:
    """Writes ``summary.json``, ``report.json`` and ``index.html``; returns the summary and whether it was there.

    Args:
        cells: of ``figures``, all methods and combos.
        keys: of the figures.
        shown: see ``make_report``.
        config: the run's resolved configuration, for the page.
        place: of the report.
    """
    key = stage_key("report", {"version": VERSION, "config": dict(config), **_plain(shown)}, keys)
    if all(place.exists(name) for name in (REPORT_NAME, PAGE_NAME, SUMMARY_NAME)):
        report = place.read_json(REPORT_NAME)
        if report.get("key") == key:
            return report["summary"], True
    report = make_report(cells, **shown)
    report |= {"key": key, "created": datetime.now(UTC).isoformat(timespec="seconds"), "config": dict(config)}
    report |= {"versions": versions(), "git_commit": git_commit()}
    summary = report["summary"]
    place.write_json(SUMMARY_NAME, summary)
    place.write_bytes(PAGE_NAME, render_page(hide_all(report)).encode())
    place.write_json(REPORT_NAME, report)
    return summary, False


def _plain(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown, as plain values that can be hashed."""
    reasons = {"\0".join(name): reason for name, reason in shown["reasons"].items()}
    return {**finite(shown), "reasons": reasons}


def make_report(
    cells: Sequence[dict[str, Any]],
    *,
    reasons: Mapping[tuple[str, ...], str],
    holes: Sequence[Mapping[str, Any]],
    temperatures: Sequence[dict[str, Any]],
    trainings: Sequence[dict[str, Any]],
    notes: Sequence[str],
) -> dict[str, Any]:
    """What the page shows of the cells: plain values, none of them NaN or infinite.

    Args:
        cells: of ``shard_cells``, all methods and combos.
        reasons: by run (empty for one alone), model, style, set and method, why there are no confidences.
        holes: what has no cells at all: model, style, set, method, reason.
        temperatures: what was fitted, or why not.
        trainings: per combo ``{model, style, n, best_step, history}``; ``n`` rows give each NLL of the history.
        notes: what a reader of the figures must know, such as who judged.
    """
    summary = [dict(cell["summary"]) for cell in cells]
    for row in summary:
        question_set = TEST if row["split"] == FRESH else row["split"]
        name = (row.get("run", ""), row["model"], row["style"], question_set, row["method"])
        row["reason"] = reasons.get(name) or row["reason"]
    report = {
        "title": TITLE,
        "summary": summary,
        "reliability": [cell["reliability"] for cell in cells if cell["reliability"]],
        "risk_coverage": [cell["risk_coverage"] for cell in cells if cell["risk_coverage"]],
        "tasks": _tasks(cells),
        "training": list(trainings),
        "temperatures": list(temperatures),
        "holes": [dict(hole) for hole in holes],
        "notes": [*notes, *reason_lines(summary), *baseline_remarks(summary)],
    }
    plain: dict[str, Any] = finite(report)
    return plain


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
            key = (name.get("run", ""), name["model"], name["style"], name["split"], task)
            record = records.setdefault(
                key,
                {
                    **({"run": name["run"]} if name.get("run") else {}),
                    "model": name["model"],
                    "style": name["style"],
                    "split": name["split"],
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
