"""Colours, markers and settings of the plots, and the clean-up of a drawn SVG; plain text, no matplotlib."""

from collections.abc import Iterable
from html import escape
import re
from typing import Any

from raycalib.evaluation.methods import (
    ANSWER_LIKELIHOOD,
    COMBINED,
    FAMILY_RATE,
    LORA,
    LORA_PROMPT,
    OPTION_LIKELIHOOD,
    PROBE,
    WITH_PLATT,
    ZERO_SHOT_QUERY,
    temperature_of,
    untempered,
)
from raycalib.printable import printable_line
from raycalib.reports.wording import in_order

# After Okabe and Ito's palette, without black and yellow, which vanish on dark and on light.
METHOD_COLOURS = {
    ZERO_SHOT_QUERY: "#d55e00",
    ANSWER_LIKELIHOOD: "#e69f00",
    OPTION_LIKELIHOOD: "#a6761d",
    FAMILY_RATE: "#8c8c8c",
    LORA_PROMPT: "#1f83c9",
    LORA: "#7e57c2",
    PROBE: "#009e73",
    COMBINED: "#b5446e",
}
METHOD_MARKERS = {
    ZERO_SHOT_QUERY: "s",
    ANSWER_LIKELIHOOD: "D",
    OPTION_LIKELIHOOD: "d",
    FAMILY_RATE: "X",
    LORA_PROMPT: "o",
    LORA: "v",
    PROBE: "^",
    COMBINED: "h",
}
GIVEN_COLOURS = ("#cc79a7", "#56b4e9", "#b5a300", "#e05263", "#17a2a2", "#b39ddb", "#7a9e00", "#a0522d")
GIVEN_MARKERS = ("P", "*", "<", ">", "p", "H", "8")
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


class MethodStyles:
    """How each method is drawn, the same in every plot of a report; one with a temperature has its method's colour.

    Args:
        methods: All that are drawn; given ones get the further colours in their order.
    """

    def __init__(self, methods: Iterable[str]) -> None:
        bases = in_order(untempered(method) for method in methods)
        given = (method for method in bases if method not in METHOD_COLOURS)
        self._given = {method: place for place, method in enumerate(given)}

    def colour(self, method: str) -> str:
        """The method's colour."""
        base = untempered(method)
        return METHOD_COLOURS.get(base) or GIVEN_COLOURS[self._given.get(base, 0) % len(GIVEN_COLOURS)]

    def line(self, method: str) -> dict[str, Any]:
        """Colour and dashes of the line: dashed with a temperature, broken twice with Platt, dotted for a rate."""
        plain = ":" if method == FAMILY_RATE else "-"
        dashes = {"": plain, WITH_PLATT: "-."}.get(temperature_of(method), "--")
        return {"color": self.colour(method), "linestyle": dashes}

    def marker(self, method: str) -> dict[str, Any]:
        """Colour, shape and filling of the method's dot: hollow with a temperature."""
        base = untempered(method)
        shape = METHOD_MARKERS.get(base) or GIVEN_MARKERS[self._given.get(base, 0) % len(GIVEN_MARKERS)]
        filling = "none" if temperature_of(method) else self.colour(method)
        return {"color": self.colour(method), "marker": shape, "markerfacecolor": filling}


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
    return f'{head} role="img" aria-label="{escape(printable_line(label))}" style="{style}">{body}'
