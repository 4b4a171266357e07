"""Which cell of a combo a sweep chooses, by its validation rows alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from raycalib.sweeps.axes import Value
from raycalib.sweeps.trials import Trial

Criterion = Literal["nll", "ece", "auroc"]
CRITERIA: Mapping[str, str] = {
    "nll": "least NLL at the best temperature; ties within one standard error go to the simpler cell",
    "ece": "least calibration error, which a model that says the same of all answers has too",
    "auroc": "how well right answers are ranked above wrong ones; calibration says nothing in it",
}


def choose(trials: Sequence[Trial], criterion: Criterion = "nll") -> Trial | None:
    """The trial to keep of a combo's; None where none is finished.

    By ``nll``, cells whose NLL is not larger than the least by more than the standard error of the difference, row by
    row, are as good, and the simplest of them is chosen: fewer steps, then fewer training rows, then a smaller learning
    rate, then more weight on staying with the base model. Of repeats with other seeds their mean counts, and the first
    is kept.
    """
    repeats = _repeats(trials)
    if not repeats:
        return None
    if criterion != "nll":
        return min(repeats, key=lambda of_cell: (_other(of_cell, criterion), *_effort(of_cell[0])))[0]
    best = min(repeats, key=_mean_nll)
    tied = [of_cell for of_cell in repeats if _is_as_good(of_cell, best)]
    return min(tied, key=lambda of_cell: (*_effort(of_cell[0]), _mean_nll(of_cell)))[0]


def chosen(trials: Sequence[Trial], criterion: Criterion = "nll") -> list[Trial]:
    """The chosen trial of each combo and method, in their order."""
    groups = dict[tuple[str, str], list[Trial]]()
    for trial in trials:
        groups.setdefault((trial.cell.combo, trial.cell.settings.method), []).append(trial)
    found = [choose(group, criterion) for group in groups.values()]
    return [trial for trial in found if trial is not None]


def _repeats(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Finished trials by cell; those of a cell of which a repeat failed or was stopped are not compared."""
    cells = dict[object, list[Trial]]()
    for trial in trials:
        cells.setdefault(trial.cell.without_seed, []).append(trial)
    return [of_cell for of_cell in cells.values() if all(trial.nll is not None for trial in of_cell)]


def not_compared(trials: Sequence[Trial]) -> list[str]:
    """Cells of which one repeat is finished and another one failed or was stopped."""
    states = dict[tuple[str, tuple[tuple[str, Value], ...]], set[bool]]()
    for trial in trials:
        states.setdefault(trial.cell.without_seed, set()).add(trial.nll is None)
    both = [key for key, found in states.items() if len(found) > 1]
    first = {trial.cell.without_seed: trial for trial in reversed(trials)}
    return [f"{first[key].cell.combo} {first[key].cell.title}" for key in both]


def _mean(of_cell: Sequence[Trial], value: Callable[[Trial], float | None]) -> float:
    known = [found for trial in of_cell if (found := value(trial)) is not None]
    return sum(known) / len(known) if known else np.inf


def _mean_nll(of_cell: Sequence[Trial]) -> float:
    return _mean(of_cell, lambda trial: trial.nll)


def _other(of_cell: Sequence[Trial], criterion: str) -> float:
    if criterion == "ece":
        return _mean(of_cell, lambda trial: trial.ece)
    return -_mean(of_cell, lambda trial: trial.auroc)


def _is_as_good(of_cell: Sequence[Trial], best: Sequence[Trial]) -> bool:
    mine, least = _losses(of_cell), _losses(best)
    shared = sorted(mine.keys() & least.keys())
    if len(shared) < 2:
        return _mean_nll(of_cell) <= _mean_nll(best)
    difference = np.array([mine[row] - least[row] for row in shared])
    return bool(difference.mean() <= difference.std(ddof=1) / np.sqrt(len(difference)))


def _losses(of_cell: Sequence[Trial]) -> dict[str, float]:
    """The mean loss of each row that all repeats have."""
    by_row = [dict(zip(trial.rows, trial.losses, strict=True)) for trial in of_cell]
    return {
        row: float(np.mean([each[row] for each in by_row])) for row in by_row[0] if all(row in each for each in by_row)
    }


def _effort(trial: Trial) -> tuple[float, float, float, float]:
    settings = trial.cell.settings
    return settings.steps, settings.train_rows or np.inf, settings.lr, -settings.kl_weight
