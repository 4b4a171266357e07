"""Colours, markers and settings of the plots, and the clean-up of a drawn SVG; plain text, no matplotlib."""

from html import escape
import re
from typing import Any

from raycalib.evaluation.methods import (
    ANSWER_LIKELIHOOD,
    FAMILY_RATE,
    LORA,
    LORA_PROMPT,
    OPTION_LIKELIHOOD,
    PROBE,
    WITH_TEMPERATURE,
    ZERO_SHOT_QUERY,
)
from raycalib.reports.wording import CALIBRATED_PROBE, CALIBRATED_QUERY

# Okabe and Ito's palette without black and yellow, which vanish on dark and on light.
METHOD_COLOURS = {
    ZERO_SHOT_QUERY: "#d55e00",
    ANSWER_LIKELIHOOD: "#e69f00",
    OPTION_LIKELIHOOD: "#a6761d",
    FAMILY_RATE: "#8c8c8c",
    LORA_PROMPT: "#56b4e9",
    CALIBRATED_QUERY: "#1f83c9",
    LORA: "#b39ddb",
    LORA + WITH_TEMPERATURE: "#7e57c2",
    PROBE: "#cc79a7",
    CALIBRATED_PROBE: "#009e73",
}
METHOD_MARKERS = {
    ZERO_SHOT_QUERY: "s",
    ANSWER_LIKELIHOOD: "D",
    OPTION_LIKELIHOOD: "d",
    FAMILY_RATE: "X",
    LORA_PROMPT: "o",
    CALIBRATED_QUERY: "o",
    LORA: "v",
    LORA + WITH_TEMPERATURE: "v",
    PROBE: "^",
    CALIBRATED_PROBE: "^",
}
DASHED = frozenset({FAMILY_RATE, LORA, PROBE})
HOLLOW = frozenset({LORA, LORA_PROMPT, PROBE})
OTHER_COLOUR, OTHER_MARKER = "#9a7d4e", "P"
INK = "#010203"  # replaced by currentColor
PIXELS_PER_INCH = 111

RC_PARAMS: Any = {
    "svg.hashsalt": "raycalib",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "lines.linewidth": 1.6,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


def colour_of(method: str) -> str:
    """Returns the method's colour, the same in every plot."""
    return METHOD_COLOURS.get(method, OTHER_COLOUR)


def line_style(method: str) -> dict[str, Any]:
    """Returns colour and dashes of a method's line."""
    return {"color": colour_of(method), "linestyle": "--" if method in DASHED else "-"}


def marker_style(method: str) -> dict[str, Any]:
    """Returns colour, shape and filling of a method's dot."""
    return {
        "color": colour_of(method),
        "marker": METHOD_MARKERS.get(method, OTHER_MARKER),
        "markerfacecolor": "none" if method in HOLLOW else colour_of(method),
    }


def inline_svg(drawn: str, label: str, width_in: float) -> str:
    """Returns the SVG element of a matplotlib SVG file, ready for a page, scaling to the width it is given.

    The XML head goes, since it names addresses; so do matplotlib's running ids, which would occur twice on a
    page. Ids that are hashes of what they name stay: equal ids are equal shapes.

    Args:
        drawn: The file's text.
        label: Read out to those who cannot see the plot.
        width_in: The figure's width in inches; the element is never shown wider.
    """
    svg = re.sub(r'<g id="[^"]*_\d+">', "<g>", drawn[drawn.index("<svg") :])
    svg = svg.replace(INK, "currentColor").strip()
    head, body = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    style = f"width:100%;max-width:{round(PIXELS_PER_INCH * width_in)}px;height:auto"
    return f'{head} role="img" aria-label="{escape(label)}" style="{style}">{body}'
