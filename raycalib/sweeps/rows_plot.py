"""The training-rows curve: the least NLL that is reached with so many rows, with its standard error."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
import math

from raycalib.sweeps.axes import TRAIN_ROWS
from raycalib.sweeps.trials import Trial

WIDTH, HEIGHT, MARGIN, TOP = 860, 260, 70, 30
COLOURS = ("#2166ac", "#b2182b", "#4d9221")


def rows_svg(trials: Sequence[Trial]) -> str:
    """The curve of one combo, a line for each method, over the number of rows on a logarithmic scale.

    ``all`` stands at the number of rows that there are. Of each number the trial with the least NLL is drawn; its bar
    is one standard error long to either side.

    Args:
        trials: of the combo.

    Returns:
        SVG; empty where no method was tuned on different numbers of rows.
    """
    curves = {name: points for name, points in _curves(trials).items() if len(points) > 1}
    if not curves:
        return ""
    drawn = [trial for points in curves.values() for trial in points.values()]
    counts = sorted({n for points in curves.values() for n in points})
    least = min((trial.nll or 0.0) - (trial.nll_se or 0.0) for trial in drawn)
    most = max((trial.nll or 0.0) + (trial.nll_se or 0.0) for trial in drawn)
    across = {n: MARGIN + (WIDTH - 2 * MARGIN) * _share(math.log(n), map(math.log, counts)) for n in counts}

    def down(nll: float) -> float:
        return HEIGHT - TOP - (HEIGHT - 2 * TOP) * (nll - least) / (most - least or 1.0)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="least validation NLL by training rows">',
        f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{HEIGHT - TOP}" y2="{HEIGHT - TOP}" stroke="#999"/>',
        *(_text(x, HEIGHT - TOP + 16, f"{n:,}", "middle") for n, x in across.items()),
        _text(MARGIN - 8, TOP + 4, f"{most:.3f}", "end"),
        _text(MARGIN - 8, HEIGHT - TOP + 4, f"{least:.3f}", "end"),
    ]
    for place, (method, points) in enumerate(curves.items()):
        parts += _curve(method, [(across[n], trial) for n, trial in points.items()], COLOURS[place % 3], down)
    return "".join([*parts, "</svg>"])


def _curves(trials: Sequence[Trial]) -> dict[str, dict[int, Trial]]:
    """By method and number of rows the trial with the least NLL, fewest rows first; empty where rows are not varied."""
    curves = dict[str, dict[int, Trial]]()
    for trial in sorted(trials, key=lambda trial: (trial.n_train or 0, math.inf if trial.nll is None else trial.nll)):
        if trial.nll is not None and trial.n_train and trial.cell.value(TRAIN_ROWS) is not None:
            curves.setdefault(trial.cell.settings.method, {}).setdefault(trial.n_train, trial)
    return curves


def _curve(
    method: str, points: Sequence[tuple[float, Trial]], colour: str, down: Callable[[float], float]
) -> list[str]:
    line = " ".join(f"{x:.1f},{down(trial.nll or 0.0):.1f}" for x, trial in points)
    parts = [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>']
    for x, trial in points:
        nll, error = trial.nll or 0.0, trial.nll_se or 0.0
        title = escape(f"{trial.n_train:,} rows, {trial.cell.title}: NLL {nll:.4f} ± {error:.4f}")
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{down(nll - error):.1f}" y2="{down(nll + error):.1f}" '
            f'stroke="{colour}"/><circle cx="{x:.1f}" cy="{down(nll):.1f}" r="4" fill="{colour}"><title>{title}</title>'
            "</circle>"
        )
    x, last = points[-1]
    return [*parts, _text(x + 8, down(last.nll or 0.0) + 4, method, "start", colour)]


def _share(value: float, values: Iterable[float]) -> float:
    least, *_, most = values
    return (value - least) / (most - least)


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#1d2733") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
