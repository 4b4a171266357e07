"""The plots of the page, drawn per evaluation set."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from markupsafe import Markup

from raycalib.reports.evaluation_sets import all_sets, main_sets, set_of
from raycalib.reports.figures import Combo, Row, combos, select
from raycalib.reports.plot_style import MethodStyles
from raycalib.reports.plots import reliability_svg, risk_coverage_svg
from raycalib.reports.wording import split_name

MOST_CURVES = 12
"""Combos times evaluation sets whose curves are drawn: each takes a second or two and 100 KB of the page."""


class Curves(NamedTuple):
    """Captions and plots of one evaluation set."""

    split: str
    plots: list[tuple[str, Markup]]


def own_svg(svg: str) -> Markup:
    """Returns a plot that the page may print as it is: matplotlib has escaped the text in it."""
    return Markup(svg)


def styles_of(report: Mapping[str, Any]) -> MethodStyles:
    """Returns how the report's methods are drawn."""
    tables = ("summary", "reliability", "risk_coverage")
    return MethodStyles(str(row.get("method")) for name in tables for row in report[name])


def drawn_sets(report: Mapping[str, Any], main: str) -> list[str]:
    """Returns the evaluation sets whose curves are drawn: the main one, then others as far as ``MOST_CURVES`` goes."""
    rows = [*report["reliability"], *report["risk_coverage"]]
    others = [name for name in main_sets(rows) if name not in (main, "")]
    each = max(1, len(combos(rows)))
    return [main, *islice(others, max(0, MOST_CURVES // each - 1))]


def not_drawn(report: Mapping[str, Any], main: str) -> list[str]:
    """Returns the evaluation sets that have curves and are not drawn."""
    drawn = drawn_sets(report, main)
    return [name for name in all_sets([*report["reliability"], *report["risk_coverage"]]) if name not in (*drawn, "")]


def reliability_plots(report: Mapping[str, Any], main: str, styles: MethodStyles) -> list[Curves]:
    """Returns the reliability diagrams of each combo, by evaluation set."""

    def draw(combo: Combo, split: str, rows: Sequence[Row]) -> tuple[str, str]:
        return str(combo), reliability_svg(rows, styles=styles)

    return _by_set(report, "reliability", main, draw)


def risk_coverage_plots(report: Mapping[str, Any], main: str, styles: MethodStyles) -> list[Curves]:
    """Returns the risk–coverage curves of each combo, by evaluation set."""

    def draw(combo: Combo, split: str, rows: Sequence[Row]) -> tuple[str, str]:
        caption = f"{combo}, {split_name(split)}"
        return caption, risk_coverage_svg(rows, caption, styles)

    return _by_set(report, "risk_coverage", main, draw)


def _by_set(report: Mapping[str, Any], table: str, main: str, draw: Any) -> list[Curves]:
    found = []
    for split in drawn_sets(report, main):
        rows = [row for row in report[table] if (set_of(row) or main) == split]
        drawn = [draw(combo, split, select(rows, combo)) for combo in combos(rows)]
        if plots := [(caption, own_svg(svg)) for caption, svg in drawn if svg]:
            found.append(Curves(split, plots))
    return found
