"""Parallel coordinates: a line for each trial through its value of each axis to its NLL."""

from collections.abc import Sequence
from html import escape

from raycalib.sweeps.axes import Value, shown_value
from raycalib.sweeps.trials import Trial

WIDTH, HEIGHT, MARGIN, TOP = 860, 260, 60, 30
BEST, WORST = (33, 102, 172), (214, 204, 190)


def parallel_svg(trials: Sequence[Trial], chosen: str) -> str:
    """The plot of one combo's finished trials as SVG; the chosen one's line is the thick one.

    Args:
        trials: of the combo.
        chosen: key of the chosen one.

    Returns:
        SVG; empty where there are fewer than two trials.
    """
    done = sorted((trial for trial in trials if trial.nll is not None), key=lambda trial: -(trial.nll or 0.0))
    if len(done) < 2:
        return ""
    names = list(dict.fromkeys(name for trial in done for name, _ in trial.cell.values))
    values = {name: sorted({trial.cell.value(name) for trial in done}, key=_order) for name in names}
    least, most = (pick(float(trial.nll or 0.0) for trial in done) for pick in (min, max))
    gap = (WIDTH - 2 * MARGIN) / len(names)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{len(done)} trials by axis and validation NLL">',
        *(line for place, name in enumerate(names) for line in _axis(name, values[name], MARGIN + place * gap)),
        *_axis_line("val NLL", WIDTH - MARGIN),
        _text(WIDTH - MARGIN + 6, TOP + 4, f"{most:.3f}"),
        _text(WIDTH - MARGIN + 6, HEIGHT - TOP + 4, f"{least:.3f}"),
    ]
    for rank, trial in enumerate(done):
        points = [
            (MARGIN + place * gap, _height(values[name], trial.cell.value(name))) for place, name in enumerate(names)
        ]
        share = (float(trial.nll or 0.0) - least) / (most - least or 1.0)
        points.append((WIDTH - MARGIN, HEIGHT - TOP - share * (HEIGHT - 2 * TOP)))
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        is_chosen = trial.key == chosen
        width = 3.5 if is_chosen else 1.2
        title = escape(f"{trial.cell.title}: NLL {trial.nll:.4f}{', chosen' if is_chosen else ''}")
        colour = _colour(rank / (len(done) - 1))
        parts.append(
            f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="{width}"><title>{title}</title>'
            "</polyline>"
        )
    return "".join([*parts, "</svg>"])


def _order(value: Value | None) -> tuple[bool, float, str]:
    return isinstance(value, str), value if isinstance(value, int | float) else 0.0, str(value)


def _height(values: Sequence[Value | None], value: Value | None) -> float:
    share = values.index(value) / (len(values) - 1) if len(values) > 1 else 0.5
    return HEIGHT - TOP - share * (HEIGHT - 2 * TOP)


def _axis(name: str, values: Sequence[Value | None], x: float) -> list[str]:
    labels = [
        _text(x + 5, _height(values, value) - 4, shown_value(name, value)) for value in values if value is not None
    ]
    return [*_axis_line(name, x), *labels]


def _axis_line(name: str, x: float) -> list[str]:
    return [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - TOP}" stroke="#999"/>',
        f'<text x="{x:.1f}" y="{TOP - 12}" text-anchor="middle" font-weight="600">{escape(name)}</text>',
    ]


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _colour(share: float) -> str:
    """From the worst trial's at 0 to the best one's at 1."""
    return "#" + "".join(f"{round(w + share * (b - w)):02x}" for w, b in zip(WORST, BEST, strict=True))
