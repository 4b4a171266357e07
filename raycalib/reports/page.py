"""The report as one HTML page that needs nothing but itself."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from raycalib.errors import DataError
from raycalib.reports import page_parts
from raycalib.reports.plots import auroc_svg, training_svg
from raycalib.reports.wording import method_name, split_name, split_title, style_name

LISTS = ("summary", "reliability", "risk_coverage", "tasks", "training", "temperatures", "notes")


def render_page(report: Mapping[str, Any]) -> str:
    """Returns the report as one self-contained HTML page: no network, readable without scripts.

    All text of the report is escaped; only our own SVG is not. A section without data is left out.

    Args:
        report: The evaluation's report: "title", and any of "created", "config", "versions", "git_commit",
            "summary", "reliability", "risk_coverage", "tasks", "training", "temperatures", "notes".

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
    environment = Environment(
        loader=PackageLoader("raycalib.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "method_name": method_name,
        "split_name": split_name,
        "split_title": split_title,
        "style_name": style_name,
        "number_cell": page_parts.number_cell,
        "pretty": page_parts.pretty,
    }
    return environment


def _context(report: Mapping[str, Any]) -> dict[str, Any]:
    summary, tasks = report["summary"], report["tasks"]
    return {
        "report": report,
        "headlines": page_parts.headlines(summary) if summary else [],
        "metric_titles": list(page_parts.TABLE_METRICS.values()),
        "summary_splits": [(split, page_parts.summary_rows(summary, split)) for split in page_parts.splits_in(summary)],
        "auroc_plot": page_parts.own_svg(auroc_svg(summary)),
        "reliability": page_parts.reliability_figures(report),
        "risk_coverage": page_parts.risk_coverage_figures(report),
        "task_methods": page_parts.task_methods(tasks),
        "task_splits": [
            (split, [row for row in tasks if row["split"] == split]) for split in page_parts.splits_in(tasks)
        ],
        "training_plot": page_parts.own_svg(training_svg(report["training"])),
    }
