"""Plots as inline SVG strings, drawn from computed tables; the only module that imports matplotlib.

Lines and letters take the page's text colour, so one SVG is readable on light and dark. Letters stay text.
The same data gives the same bytes.
"""

from collections.abc import Sequence
import io
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from raycalib.evaluation.methods import LORA_PROMPT, ZERO_SHOT_QUERY
from raycalib.reports.figures import Row, combo_of, combos, figure, filled_bins, number, select
from raycalib.reports.plot_style import INK, RC_PARAMS, colour_of, inline_svg, line_style, marker_style
from raycalib.reports.wording import CALIBRATED_PROBE, CALIBRATED_QUERY, in_order, method_name, untempered

RELIABILITY_METHODS = (ZERO_SHOT_QUERY, LORA_PROMPT, CALIBRATED_QUERY, CALIBRATED_PROBE)
FEWEST_COVERAGE = 0.1
COLUMNS = 4


def reliability_svg(rows: Sequence[Row], methods: Sequence[str] = RELIABILITY_METHODS) -> str:
    """Returns the reliability diagrams of one combo side by side: accuracy against mean confidence per bin.

    The dashed diagonal is perfect calibration; points below it are overconfident. The bars under each diagram
    are the bins' row counts at their mean confidence.

    Args:
        rows: Rows of the report's "reliability", one per method; empty bins hold None.
        methods: Which methods, left to right.

    Returns:
        An SVG element; "" when none of the methods has a bin.
    """
    shown = [row for method in methods for row in rows if row["method"] == method and filled_bins(row)]
    if not shown:
        return ""
    with rc_context(RC_PARAMS):
        canvas = Figure(figsize=(2.75 * max(len(shown), 2), 4.0), layout="constrained")
        axes = canvas.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False, height_ratios=(4, 1))
        for column, row in enumerate(shown):
            _draw_reliability(axes[0][column], axes[1][column], row)
        axes[0][0].set_ylabel("accuracy")
        axes[1][0].set_ylabel("rows")
        return _to_svg(canvas, f"Reliability diagrams, {combo_of(shown[0])}")


def risk_coverage_svg(rows: Sequence[Row], title: str = "") -> str:
    """Returns the risk-coverage curves of one combo and split, a line per method; lower is better.

    A temperature keeps the ranking and so the curve: a method with one is drawn only where it stands alone.
    The vertical axis ends at the highest risk beyond a coverage of 0.1: on the few surest rows risk is noise.

    Args:
        rows: Rows of the report's "risk_coverage", one per method.
        title: Printed above the axes.

    Returns:
        An SVG element; "" when there is no curve.
    """
    present = {row["method"] for row in rows}
    twice = {method for method in present if untempered(method) in present - {method}}
    curves = [row for row in select(rows) if row["coverage"] and row["method"] not in twice]
    if not curves:
        return ""
    with rc_context(RC_PARAMS):
        canvas = Figure(figsize=(5.4, 3.8), layout="constrained")
        axes = canvas.subplots()
        for row in curves:
            method = str(row["method"])
            axes.plot(row["coverage"], row["risk"], label=method_name(method), **line_style(method))
        tops = [
            risk
            for row in curves
            for coverage, risk in zip(row["coverage"], row["risk"], strict=True)
            if coverage >= FEWEST_COVERAGE
        ]
        axes.set(xlim=(0, 1), ylim=(0, min(1.0, 1.08 * max(tops, default=1.0)) or 0.05), title=title)
        axes.set(xlabel="coverage (share answered, surest first)", ylabel="risk (share wrong)")
        canvas.legend(loc="outside lower center", ncols=3)
        return _to_svg(canvas, f"Risk-coverage curves, {title}")


def training_svg(training: Sequence[Row]) -> str:
    """Returns the validation NLL by step, one axes per combo, with the kept step ringed.

    Args:
        training: Rows of the report's "training".

    Returns:
        An SVG element; "" when no run has a history.
    """
    runs = [run for run in training if any(number(point["val_nll"]) is not None for point in run["history"])]
    if not runs:
        return ""
    n_lines = -(-len(runs) // COLUMNS)
    with rc_context(RC_PARAMS):
        canvas = Figure(figsize=(11, 2.5 * n_lines), layout="constrained")
        grid = canvas.subplots(n_lines, COLUMNS, sharey=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(runs):
                axes.set_visible(False)
                continue
            _draw_training(axes, runs[place])
            if place % COLUMNS == 0:
                axes.set_ylabel("validation NLL (nats, best T)")
        return _to_svg(canvas, "Validation NLL by training step")


def auroc_svg(summary: Sequence[Row], split: str) -> str:
    """Returns the AUROC of each combo and method as a dot with its interval; higher is better, 0.5 is chance.

    Args:
        summary: The report's summary rows.
        split: Which split.

    Returns:
        An SVG element; "" when no AUROC is defined on the split.
    """
    rows = [row for row in summary if row.get("split") == split and figure(row, "auroc") is not None]
    if not rows:
        return ""
    shown = combos(rows)
    methods = in_order(str(row["method"]) for row in rows)
    with rc_context(RC_PARAMS):
        canvas = Figure(figsize=(11, 0.9 + (0.16 * len(methods) + 0.12) * len(shown)), layout="constrained")
        axes = canvas.subplots()
        for place, method in enumerate(methods):
            offset = 0.8 * ((place + 0.5) / len(methods) - 0.5)
            _draw_dots(axes, [row for row in rows if row["method"] == method], shown, offset)
        axes.axvline(0.5, color=INK, linewidth=1, linestyle=":")
        axes.set_yticks(range(len(shown)), [str(combo) for combo in shown])
        axes.set(ylim=(len(shown) - 0.5, -0.5), xlabel="AUROC (dotted: chance)")
        axes.grid(visible=False, axis="y")
        canvas.legend(loc="outside upper center", ncols=min(len(methods), 4))
        return _to_svg(canvas, f"AUROC per combo and method, {split}")


def _draw_reliability(diagram: Axes, histogram: Axes, row: Row) -> None:
    method = str(row["method"])
    colour = colour_of(method)
    counts, confidence, accuracy = zip(*filled_bins(row), strict=True)
    diagram.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--", alpha=0.6)
    diagram.plot(confidence, accuracy, color=colour, marker="o", markersize=4.5, linewidth=1)
    diagram.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=method_name(method))
    diagram.set_aspect("equal")
    histogram.bar(confidence, counts, width=0.025, color=colour, alpha=0.75)
    histogram.set_xlabel("mean confidence")
    histogram.grid(visible=False, axis="x")


def _draw_training(axes: Axes, run: Row) -> None:
    points = [(point["step"], point["val_nll"]) for point in run["history"] if number(point["val_nll"]) is not None]
    axes.plot(*zip(*points, strict=True), color=colour_of(CALIBRATED_QUERY), marker=".", markersize=5)
    best = [point for point in points if point[0] == run.get("best_step")]
    for step, value in best:
        axes.plot(step, value, "o", markersize=10, markerfacecolor="none", markeredgecolor=INK)
    of = f" (n {run['n']:,})" if run.get("n") else ""
    kept = f"\nkept: step {best[0][0]}, {best[0][1]:.3f}{of}" if best else ""
    axes.set(xlabel="step", title=f"{combo_of(run)}{kept}")


def _draw_dots(axes: Axes, rows: Sequence[Row], order: Sequence[Any], offset: float) -> None:
    method = str(rows[0]["method"])
    colour = colour_of(method)
    heights = [order.index(combo_of(row)) + offset for row in rows]
    for row, height in zip(rows, heights, strict=True):
        low, high = figure(row, "auroc", "low"), figure(row, "auroc", "high")
        if low is not None and high is not None:
            axes.plot([low, high], [height, height], color=colour, linewidth=1.4)
    axes.plot(
        [figure(row, "auroc") or 0.0 for row in rows],
        heights,
        linestyle="none",
        markersize=6,
        label=method_name(method),
        **marker_style(method),
    )


def _to_svg(canvas: Figure, label: str) -> str:
    canvas.patch.set_alpha(0)
    for axes in canvas.axes:
        axes.patch.set_alpha(0)
    stream = io.StringIO()
    # The date would differ from run to run, the others name web addresses.
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(canvas)
    canvas.savefig(stream, format="svg", metadata=metadata)
    return inline_svg(stream.getvalue(), label, float(canvas.get_size_inches()[0]))
