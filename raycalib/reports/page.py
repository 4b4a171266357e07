"""The report as one HTML page that needs nothing but itself."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment

from raycalib.errors import DataError
from raycalib.reports import page_parts
from raycalib.reports.evaluation_sets import FRESH, all_sets, in_every_set, main_sets, main_split
from raycalib.reports.page_environment import page_environment
from raycalib.reports.page_plots import not_drawn, own_svg, reliability_plots, risk_coverage_plots, styles_of
from raycalib.reports.plots import auroc_svg, training_svg
from raycalib.reports.wording import SPLIT_NAMES, method_name, split_name, split_title, style_name

LISTS = ("summary", "reliability", "risk_coverage", "tasks", "training", "temperatures", "notes", "holes")
WITH_RUNS = ("summary", "tasks", "temperatures")
MOST_OPEN = 4
"""Of more evaluation sets only the main one's table is open."""


def render_page(report: Mapping[str, Any]) -> str:
    """Returns the report as one self-contained HTML page: no network, readable without scripts.

    All text of the report is escaped, control and direction characters too; only our own SVG is not. A section without
    data is left out.

    Args:
        report: The evaluation's report: "title", and any of "created", "config", "versions", "git_commit",
            "summary", "reliability", "risk_coverage", "tasks", "training", "temperatures", "notes", "holes" (what
            failed and has no rows: model, style, method or "", reason).

    Returns:
        HTML text, to be written as UTF-8.

    Raises:
        DataError: The report has no title.
    """
    if "title" not in report:
        raise DataError(f"report: expected a 'title', got the keys {sorted(report)}; pass an evaluation report")
    complete: dict[str, Any] = {"created": "", "git_commit": None, "config": {}, "versions": {}}
    complete |= {name: [] for name in LISTS} | dict(report)
    return _environment().get_template("page.html.j2").render(_context(complete))


def _environment() -> Environment:
    environment = page_environment("raycalib.reports")
    environment.filters |= {
        "method_name": method_name,
        "split_name": split_name,
        "split_start": _split_start,
        "split_title": split_title,
        "style_name": style_name,
        "number_cell": page_parts.number_cell,
        "task_cell": page_parts.task_cell,
        "pretty": page_parts.pretty,
    }
    return environment


def _split_start(split: str) -> str:
    """The evaluation set at the beginning of a sentence; a name of its own stays as it is."""
    name = SPLIT_NAMES.get(split)
    return f"{name[0].upper()}{name[1:]}" if name else split_title(split)


def _context(report: Mapping[str, Any]) -> dict[str, Any]:
    summary, tasks, split = in_every_set(report["summary"]), report["tasks"], main_split(report)
    styles = styles_of(report)
    sets = main_sets(summary)
    return {
        "report": report,
        "top_lines": page_parts.top_lines(summary, report["holes"]),
        "with_runs": any(row.get("run") for name in WITH_RUNS for row in report[name]),
        "main_split": split,
        "headlines": page_parts.headlines(summary, split) if summary else [],
        "metric_titles": list(page_parts.TABLE_METRICS.values()),
        "overview": page_parts.overview(summary) if len(sets) > MOST_OPEN else None,
        "open_splits": [split] if len(sets) > MOST_OPEN else [*sets, FRESH],
        "summary_splits": [(name, page_parts.summary_rows(summary, name)) for name in all_sets(summary)],
        "auroc_plots": {name: own_svg(auroc_svg(summary, name, styles)) for name in sets},
        "reliability": reliability_plots(report, split, styles),
        "risk_coverage": risk_coverage_plots(report, split, styles),
        "not_drawn": not_drawn(report, split),
        "task_methods": page_parts.task_methods(tasks),
        "task_splits": [(name, [row for row in tasks if row.get("split") == name]) for name in all_sets(tasks)],
        "training_plot": own_svg(training_svg(report["training"])),
    }
