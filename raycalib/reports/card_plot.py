"""The reliability diagram of one method as a picture, for pages that show no drawing."""

from collections.abc import Mapping
import io
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from raycalib.reports.plots import draw_reliability

COLOUR, INK, DPI = "#1f83c9", "#222222", 144
SETTINGS = {
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "font.size": 9,
}  # fmt: skip


def reliability_png(row: Mapping[str, Any]) -> bytes:
    """A picture on white: accuracy against mean confidence per bin, and the bins' row counts below.

    Args:
        row: of the report's "reliability", with a bin at least.
    """
    with rc_context(SETTINGS):
        canvas = Figure(figsize=(3.6, 4.2), layout="constrained")
        above, below = canvas.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        draw_reliability(above, below, row, COLOUR)
        above.set_ylabel("accuracy")
        below.set_ylabel("rows")
        FigureCanvasAgg(canvas)
        stream = io.BytesIO()
        canvas.savefig(stream, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
        return stream.getvalue()
