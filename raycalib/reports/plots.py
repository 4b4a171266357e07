"""Plots as inline SVG strings, drawn from computed tables; the only module that imports matplotlib.

Lines and letters take the page's text colour, so one SVG is readable on light and dark. Letters stay text.
The same data gives the same bytes.
"""

from collections.abc import Iterable, Sequence
import io
import textwrap
from typing import Any
import warnings

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from raycalib.evaluation.methods import LORA_PROMPT, WITH_TEMPERATURE, ZERO_SHOT_QUERY, temperature_of, untempered
from raycalib.reports.figures import (
    Row,
    combo_of,
    combos,
    figure,
    filled_bins,
    number,
    select,
    without_repeats,
)
from raycalib.reports.plot_style import INK, RC_PARAMS, MethodStyles, inline_svg
from raycalib.reports.wording import (
    CALIBRATED_PROBE,
    CALIBRATED_QUERY,
    METHOD_NAMES,
    in_order,
    method_name,
    shortened,
)

RELIABILITY_METHODS = (
    ZERO_SHOT_QUERY,
    ZERO_SHOT_QUERY + WITH_TEMPERATURE,
    LORA_PROMPT,
    CALIBRATED_QUERY,
    CALIBRATED_PROBE,
)
MOST_DIAGRAMS = 6
FEWEST_COVERAGE = 0.1
COLUMNS = 4
RISK_LEGEND, AUROC_LEGEND = (3, 72), (4, 150)
"""Most columns, and letters that fit side by side."""

LINE_IN = 0.17
LONGEST_LABEL = 44
LONGEST_TITLE = 34


def reliability_methods(rows: Sequence[Row]) -> list[str]:
    """Returns which methods of one combo have a reliability diagram: at most six can be read side by side.

    The zero-shot query and LoRA + Prompt without and with a temperature, and the probe with one; then what was given,
    with its temperature where it has one. Where none of these has a bin the first of the others stand in.
    """
    present = in_order(str(row["method"]) for row in rows if filled_bins(row))
    given = [method for method in present if untempered(method) not in METHOD_NAMES]
    calibrated = [
        method
        for method in given
        if temperature_of(method) or not any(untempered(other) == method != other for other in given)
    ]
    chosen = [method for method in RELIABILITY_METHODS if method in present] + calibrated
    return (chosen or present)[:MOST_DIAGRAMS]


def reliability_svg(
    rows: Sequence[Row], methods: Sequence[str] | None = None, styles: MethodStyles | None = None
) -> str:
    """Returns the reliability diagrams of one combo side by side: accuracy against mean confidence per bin.

    The dashed diagonal is perfect calibration; points below it are overconfident. The bars under each diagram
    are the bins' row counts at their mean confidence.

    Args:
        rows: Rows of the report's "reliability", one per method; empty bins hold None.
        methods: Which methods, left to right; None for those of ``reliability_methods``.
        styles: Of the whole report's methods; None for those of the rows.

    Returns:
        An SVG element; "" when none of the methods has a bin.
    """
    wanted = reliability_methods(rows) if methods is None else methods
    shown = [row for method in wanted for row in rows if row["method"] == method and filled_bins(row)]
    if not shown:
        return ""
    styles = styles or _styles_of(rows)
    with rc_context(RC_PARAMS):
        canvas = Figure(figsize=(2.75 * max(len(shown), 2), 4.0), layout="constrained")
        axes = canvas.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False, height_ratios=(4, 1))
        for column, row in enumerate(shown):
            draw_reliability(axes[0][column], axes[1][column], row, styles.colour(str(row["method"])))
        axes[0][0].set_ylabel("accuracy")
        axes[1][0].set_ylabel("rows")
        return _to_svg(canvas, f"Reliability diagrams, {combo_of(shown[0])}")


def risk_coverage_svg(rows: Sequence[Row], title: str = "", styles: MethodStyles | None = None) -> str:
    """Returns the risk-coverage curves of one combo and split, a line per method; lower is better.

    A temperature keeps the ranking and so the curve: a method with one is drawn only where it stands alone.
    The vertical axis ends at the highest risk beyond a coverage of 0.1: on the few surest rows risk is noise.

    Args:
        rows: Rows of the report's "risk_coverage", one per method.
        title: Printed above the axes.
        styles: Of the whole report's methods; None for those of the rows.

    Returns:
        An SVG element; "" when there is no curve.
    """
    curves = without_repeats([row for row in select(rows) if row.get("coverage")])
    if not curves:
        return ""
    styles = styles or _styles_of(rows)
    with rc_context(RC_PARAMS):
        n_columns, n_lines = _legend_shape(curves, RISK_LEGEND)
        canvas = Figure(figsize=(5.4, 3.8 + LINE_IN * max(0, n_lines - 3)), layout="constrained")
        axes = canvas.subplots()
        for row in curves:
            method = str(row["method"])
            axes.plot(row["coverage"], row["risk"], label=_label(method_name(method)), **styles.line(method))
        tops = [
            risk
            for row in curves
            for coverage, risk in zip(row["coverage"], row["risk"], strict=True)
            if coverage >= FEWEST_COVERAGE
        ]
        axes.set(xlim=(0, 1), ylim=(0, min(1.0, 1.08 * max(tops, default=1.0)) or 0.05), title=_wrapped(title, 70))
        axes.set(xlabel="coverage (share answered, surest first)", ylabel="risk (share wrong)")
        canvas.legend(loc="outside lower center", ncols=n_columns)
        return _to_svg(canvas, f"Risk-coverage curves, {title}")


def training_svg(training: Sequence[Row]) -> str:
    """Returns the validation NLL by step, one axes per combo, with the kept step ringed.

    Args:
        training: Rows of the report's "training".

    Returns:
        An SVG element; "" when no run has a history.
    """
    runs = [run for run in training if _history(run)]
    if not runs:
        return ""
    n_lines = -(-len(runs) // COLUMNS)
    colour = MethodStyles([]).colour(CALIBRATED_QUERY)
    with rc_context(RC_PARAMS):
        canvas = Figure(figsize=(11, 2.5 * n_lines), layout="constrained")
        grid = canvas.subplots(n_lines, COLUMNS, sharey=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(runs):
                axes.set_visible(False)
                continue
            _draw_training(axes, runs[place], colour)
            if place % COLUMNS == 0:
                axes.set_ylabel("validation NLL (nats, best T)")
        return _to_svg(canvas, "Validation NLL by training step")


def auroc_svg(summary: Sequence[Row], split: str, styles: MethodStyles | None = None) -> str:
    """Returns the AUROC of each combo and method as a dot with its interval; higher is better, 0.5 is chance.

    A temperature does not change it: a method with one is drawn only where it stands alone.

    Args:
        summary: The report's summary rows.
        split: Which split.
        styles: Of the whole report's methods; None for those of the rows.

    Returns:
        An SVG element; "" when no AUROC is defined on the split.
    """
    defined = [row for row in summary if row.get("split") == split and figure(row, "auroc") is not None]
    shown = combos(defined)
    rows = [row for combo in shown for row in without_repeats(select(defined, combo))]
    if not rows:
        return ""
    styles = styles or _styles_of(rows)
    methods = in_order(str(row["method"]) for row in rows)
    with rc_context(RC_PARAMS):
        n_columns, n_lines = _legend_shape(rows, AUROC_LEGEND)
        height = 0.9 + LINE_IN * max(0, n_lines - 2) + (0.16 * len(methods) + 0.12) * len(shown)
        canvas = Figure(figsize=(11, height), layout="constrained")
        axes = canvas.subplots()
        for place, method in enumerate(methods):
            offset = 0.8 * ((place + 0.5) / len(methods) - 0.5)
            _draw_dots(axes, [row for row in rows if row["method"] == method], shown, offset, styles)
        axes.axvline(0.5, color=INK, linewidth=1, linestyle=":")
        axes.set_yticks(range(len(shown)), [_label(str(combo)) for combo in shown])
        axes.set(ylim=(len(shown) - 0.5, -0.5), xlabel="AUROC (dotted: chance)")
        axes.grid(visible=False, axis="y")
        canvas.legend(loc="outside upper center", ncols=n_columns)
        return _to_svg(canvas, f"AUROC per combo and method, {split}")


def _styles_of(rows: Iterable[Row]) -> MethodStyles:
    return MethodStyles(str(row["method"]) for row in rows)


def _label(name: str) -> str:
    return shortened(name, LONGEST_LABEL)


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(shortened(text, 2 * width), width))


def _legend_shape(rows: Sequence[Row], widest: tuple[int, int]) -> tuple[int, int]:
    """Columns and lines of a legend: as many columns as the longest name lets stand side by side.

    Args:
        rows: What is drawn.
        widest: Most columns, and letters that fit side by side.
    """
    methods = {str(row["method"]) for row in rows}
    longest = max(len(_label(method_name(method))) for method in methods)
    columns = max(1, min(len(methods), widest[0], widest[1] // (longest + 6)))
    return columns, -(-len(methods) // columns)


def draw_reliability(diagram: Axes, histogram: Axes, row: Row, colour: str) -> None:
    """Draws accuracy against mean confidence per bin, and the bins' row counts below; the row has a bin."""
    counts, confidence, accuracy = zip(*filled_bins(row), strict=True)
    diagram.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--", alpha=0.6)
    diagram.plot(confidence, accuracy, color=colour, marker="o", markersize=4.5, linewidth=1)
    title = shortened(method_name(str(row["method"])), LONGEST_TITLE)
    diagram.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=title)
    diagram.set_aspect("equal")
    histogram.bar(confidence, counts, width=0.025, color=colour, alpha=0.75)
    histogram.set_xlabel("mean confidence")
    histogram.grid(visible=False, axis="x")


def _history(run: Row) -> list[tuple[Any, float]]:
    """Steps and validation NLLs where these are defined."""
    points = ((point.get("step"), number(point.get("val_nll"))) for point in run.get("history") or ())
    return [(step, nll) for step, nll in points if nll is not None]


def _draw_training(axes: Axes, run: Row, colour: str) -> None:
    points = _history(run)
    axes.plot(*zip(*points, strict=True), color=colour, marker=".", markersize=5)
    best = [point for point in points if point[0] == run.get("best_step")]
    for step, value in best:
        axes.plot(step, value, "o", markersize=10, markerfacecolor="none", markeredgecolor=INK)
    of = f" (n {run['n']:,})" if run.get("n") else ""
    kept = f"\nkept: step {best[0][0]}, {best[0][1]:.3f}{of}" if best else ""
    axes.set(xlabel="step", title=f"{_wrapped(str(combo_of(run)), 36)}{kept}")


def _draw_dots(axes: Axes, rows: Sequence[Row], order: Sequence[Any], offset: float, styles: MethodStyles) -> None:
    method = str(rows[0]["method"])
    heights = [order.index(combo_of(row)) + offset for row in rows]
    for row, height in zip(rows, heights, strict=True):
        low, high = figure(row, "auroc", "low"), figure(row, "auroc", "high")
        if low is not None and high is not None:
            axes.plot([low, high], [height, height], color=styles.colour(method), linewidth=1.4)
    axes.plot(
        [figure(row, "auroc") or 0.0 for row in rows],
        heights,
        linestyle="none",
        markersize=6,
        label=_label(method_name(method)),
        **styles.marker(method),
    )


def _to_svg(canvas: Figure, label: str) -> str:
    canvas.patch.set_alpha(0)
    for axes in canvas.axes:
        axes.patch.set_alpha(0)
    stream = io.StringIO()
    # The date would differ from run to run, the others name web addresses.
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(canvas)
    with warnings.catch_warnings():
        # Letters stay text, which the browser's fonts have; where a name leaves no room the plot is small.
        warnings.filterwarnings("ignore", "Glyph|Matplotlib currently does not support|constrained_layout", UserWarning)
        canvas.savefig(stream, format="svg", metadata=metadata)
    return inline_svg(stream.getvalue(), label, float(canvas.get_size_inches()[0]))
