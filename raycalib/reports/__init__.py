"""Tables, plots and the HTML page, from the plain dicts and lists of an evaluation's report."""

from raycalib.reports.page import render_page
from raycalib.reports.plots import auroc_svg, reliability_svg, risk_coverage_svg, training_svg
from raycalib.reports.reasons import reason_lines
from raycalib.reports.remarks import baseline_remarks
from raycalib.reports.terminal import print_summary, summary_table

__all__ = [
    "auroc_svg",
    "baseline_remarks",
    "print_summary",
    "reason_lines",
    "reliability_svg",
    "render_page",
    "risk_coverage_svg",
    "summary_table",
    "training_svg",
]
