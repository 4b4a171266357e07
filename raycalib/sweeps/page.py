"""The sweep as one HTML page that needs nothing but itself."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from markupsafe import Markup

from raycalib.plans.gpu_prices import GpuPrice
from raycalib.reports.page_environment import page_environment
from raycalib.sweeps.axes import shown_value
from raycalib.sweeps.axis_shares import axis_shares
from raycalib.sweeps.cost import cost_of
from raycalib.sweeps.parallel_plot import parallel_svg
from raycalib.sweeps.rows_plot import rows_svg
from raycalib.sweeps.selection import CRITERIA, Criterion
from raycalib.sweeps.spread import spread_lines
from raycalib.sweeps.trials import FAILED, STOPPED, Trial

MAP_AXES = ("kl_decay", "steps")
"""Down and across a heat map."""

MOST_ROWS = 30


def render_sweep(
    trials: Sequence[Trial],
    chosen: Collection[str],
    criterion: Criterion,
    repeats: Sequence[Trial] = (),
    price: GpuPrice | None = None,
) -> str:
    """The page: for each combo the chosen cell, a heat map of KL decay × steps, what each axis explains, how far NLL
    falls with training rows, all trials, and what they cost.

    All text is escaped; only our own SVG is not.

    Args:
        trials: of the sweep.
        chosen: keys of those that are chosen.
        criterion: by which.
        repeats: of the chosen ones with other seeds; they are in no map.
        price: of the GPUs that they had; None where they had none.
    """
    combos = [
        _combo([each for each in trials if each.cell.combo == combo], combo, chosen, price)
        | {"spread": spread_lines(trials, [each for each in repeats if each.cell.combo == combo], chosen)}
        for combo in _combos(trials)
    ]
    template = page_environment("raycalib.sweeps").get_template("sweep.html.j2")
    states = Counter(trial.state for trial in (*trials, *repeats))
    return template.render(
        combos=combos,
        n=len(trials) + len(repeats),
        n_failed=states[FAILED],
        n_stopped=states[STOPPED],
        criterion=CRITERIA[criterion],
        cost=cost_of([*trials, *repeats], price),
        price=price,
    )


def _combos(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(trial.cell.combo for trial in trials))


def _combo(trials: Sequence[Trial], combo: str, chosen: Collection[str], price: GpuPrice | None) -> dict[str, Any]:
    done = sorted((trial for trial in trials if trial.nll is not None), key=lambda trial: trial.nll or 0.0)
    best = [trial for trial in done if trial.key in chosen]
    return {
        "name": combo,
        "best": best,
        "map": _heat_map(done),
        "shares": axis_shares(trials),
        "plot": Markup(parallel_svg(trials, best[0].key if best else "")),
        "rows_plot": Markup(rows_svg(trials)),
        "rows": done[:MOST_ROWS],
        "costs": {trial.key: cost_of([trial], price) for trial in trials},
        "cost": cost_of(trials, price),
        "more": max(0, len(done) - MOST_ROWS),
        "chosen": {trial.key for trial in best},
        "failed": [trial for trial in trials if trial.state == FAILED],
        "stopped": [trial for trial in trials if trial.state == STOPPED],
    }


def _heat_map(done: Sequence[Trial]) -> dict[str, Any] | None:
    """The least NLL for each pair of values; None where the sweep does not vary both."""
    down, across = (
        sorted({value for trial in done if isinstance(value := trial.cell.value(axis), int | float)})
        for axis in MAP_AXES
    )
    if not down or not across or len(down) * len(across) < 2:
        return None
    least = {
        (row, column): min(
            (
                trial.nll
                for trial in done
                if trial.nll is not None and [trial.cell.value(axis) for axis in MAP_AXES] == [row, column]
            ),
            default=None,
        )
        for row in down
        for column in across
    }
    known = [nll for nll in least.values() if nll is not None]
    spread = (max(known) - min(known)) or 1.0
    rows = [
        {
            "name": shown_value(MAP_AXES[0], row),
            "cells": [_map_cell(least[row, column], min(known), spread) for column in across],
        }
        for row in down
    ]
    return {"columns": [shown_value(MAP_AXES[1], column) for column in across], "rows": rows}


def _map_cell(nll: float | None, least: float, spread: float) -> dict[str, Any]:
    """A cell's text, and how good it is from 0 to 1."""
    return {"nll": nll, "good": 0.0 if nll is None else 1 - (nll - least) / spread}
