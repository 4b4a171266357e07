"""The report as one HTML page that needs nothing but itself."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from raycalib.errors import DataError
from raycalib.printable import printable_lines
from raycalib.reports import page_parts
from raycalib.reports.figures import main_split
from raycalib.reports.plots import auroc_svg, training_svg
from raycalib.reports.wording import method_name, split_name, split_title, style_name

LISTS = ("summary", "reliability", "risk_coverage", "tasks", "training", "temperatures", "notes")


def render_page(report: Mapping[str, Any]) -> str:
    """Returns the report as one self-contained HTML page: no network, readable without scripts.

    All text of the report is escaped, control and direction characters too; only our own SVG is not. A section without
    data is left out.

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
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "method_name": method_name,
        "split_name": split_name,
        "split_title": split_title,
        "style_name": style_name,
        "number_cell": page_parts.number_cell,
        "task_cell": page_parts.task_cell,
        "pretty": page_parts.pretty,
    }
    return environment


def _shown(value: Any) -> Any:
    """What stands for a value of the template: in names a change of direction would show the page another way."""
    return printable_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _context(report: Mapping[str, Any]) -> dict[str, Any]:
    summary, tasks, split = report["summary"], report["tasks"], main_split(report)
    return {
        "report": report,
        "main_split": split,
        "headlines": page_parts.headlines(summary, split) if summary else [],
        "metric_titles": list(page_parts.TABLE_METRICS.values()),
        "summary_splits": [(name, page_parts.summary_rows(summary, name)) for name in page_parts.splits_in(summary)],
        "auroc_plot": page_parts.own_svg(auroc_svg(summary, split)),
        "reliability": page_parts.reliability_figures(report, split),
        "risk_coverage": page_parts.risk_coverage_figures(report, split),
        "task_methods": page_parts.task_methods(tasks),
        "task_splits": [(name, [row for row in tasks if row["split"] == name]) for name in page_parts.splits_in(tasks)],
        "training_plot": page_parts.own_svg(training_svg(report["training"])),
    }
