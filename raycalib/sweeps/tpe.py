"""Optuna's TPE over the values of a grid, in rounds: the same command asks for the same cells, however often it begins.

Optuna keeps no state on disk. A search that begins again asks anew, and is told what the finished trials have shown.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
import math
import random
from typing import Any

from raycalib.errors import ConfigError
from raycalib.hashing import stable_seed
from raycalib.sweeps.axes import Value
from raycalib.sweeps.cells import Cell
from raycalib.sweeps.trials import Trial

PER_ROUND = 4
"""Cells of a combo and method that are tried side by side before TPE is asked again; the first are drawn at random."""

ASKS_IN_VAIN = 32
"""Times that TPE may ask for what was tried before one that was not is drawn at random."""


def require_optuna() -> None:
    """Raises ConfigError where Optuna is not installed."""
    if find_spec("optuna") is None:
        raise ConfigError(
            "search: optuna needs the package Optuna, which is not installed: pip install 'raycalib[optuna]', or use "
            "--search random"
        )


class TpeSearch:
    """A study of its own for each combo and method; the samples are shared out evenly among them, as far as they go.

    A round's cells hang on the seed, on the results of the rounds before and on the values of the axes: more samples
    continue what fewer began.
    """

    def __init__(self, cells: Sequence[Cell], samples: int, seed: int) -> None:
        """Takes the cells that may be tried, how many are in all, and the run's seed."""
        groups = _by_study(cells)
        shares = shared_out(samples, [len(group) for group in groups.values()])
        self._studies = [
            Study(group, share, (seed, *name)) for (name, group), share in zip(groups.items(), shares, strict=True)
        ]

    @property
    def n_left(self) -> int:
        """Cells that it may yet ask for."""
        return sum(study.n_left for study in self._studies)

    def ask(self) -> list[Cell]:
        """The next round's cells: first one of each study, then those of a study one after the other."""
        rounds = [cells for study in self._studies if (cells := study.ask())]
        return [cells[0] for cells in rounds] + [cell for cells in rounds for cell in cells[1:]]

    def tell(self, trials: Sequence[Trial]) -> None:
        """What became of the round's cells; the order does not matter."""
        nll = {trial.cell: math.inf if trial.was_stopped else trial.nll for trial in trials}
        for study in self._studies:
            study.tell(nll)


class Study:
    """TPE on the cells of one combo and method; an axis's values are choices without an order."""

    def __init__(self, cells: Sequence[Cell], most: int, seed: tuple[object, ...]) -> None:
        """Takes what may be tried, how many of it at most, and what the random numbers of its rounds hang on."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna, self._seed, self._round = optuna, seed, 0
        self._study = optuna.create_study(direction="minimize")
        self._cells, self._most = list(cells), min(most, len(cells))
        names = dict.fromkeys(name for cell in cells for name, _ in cell.values)
        self._choices = {
            name: tuple(dict.fromkeys(found for cell in cells if (found := cell.value(name)) is not None))
            for name in names
        }
        self._nll = dict[Cell, float | None]()
        self._asked = list[tuple[Any, Cell]]()

    @property
    def n_left(self) -> int:
        """Cells that it may yet ask for."""
        return self._most - len(self._nll.keys() | {cell for _, cell in self._asked})

    def ask(self) -> list[Cell]:
        """The next round's cells, none of which was tried; empty once there are as many as may be."""
        seed = stable_seed("tpe", *self._seed, self._round) % 2**32
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=PER_ROUND)
        self._round += 1
        draw, found = random.Random(seed), list[Cell]()
        n = min(PER_ROUND, self.n_left)
        while len(found) < n:
            found.append(self._ask_new(found, draw))
        return found

    def tell(self, nll: Mapping[Cell, float | None]) -> None:
        """The NLL of the round's cells; None is of one that failed, infinite is of one that was stopped."""
        for trial, cell in self._asked:
            self._nll[cell] = nll[cell]
            self._tell(trial, nll[cell])
        self._asked = []

    def _ask_new(self, before: Sequence[Cell], draw: random.Random) -> Cell:
        """A cell that was not tried; where TPE asks for one that was, it is told again what that has shown."""
        taken = {*self._nll, *before}
        for _ in range(ASKS_IN_VAIN):
            trial, cell = self._ask()
            if cell not in taken:
                break
            if cell in self._nll:
                self._tell(trial, self._nll[cell])
            else:
                self._asked.append((trial, cell))
        else:
            drawn = draw.choice([cell for cell in self._cells if cell not in taken])
            self._study.enqueue_trial(
                {name: choices[0] for name, choices in self._choices.items()} | dict(drawn.values)
            )
            trial, cell = self._ask()
        self._asked.append((trial, cell))
        return cell

    def _ask(self) -> tuple[Any, Cell]:
        distribution = self._optuna.distributions.CategoricalDistribution
        trial = self._study.ask({name: distribution(choices) for name, choices in self._choices.items()})
        return trial, self._cell_of(trial.params)

    def _cell_of(self, values: Mapping[str, Value]) -> Cell:
        """The cell that these values come to: of those that it does not hang on, any will do."""
        return next(cell for cell in self._cells if all(values[name] == value for name, value in cell.values))

    def _tell(self, trial: Any, nll: float | None) -> None:
        states = self._optuna.trial.TrialState
        if nll is None:
            self._study.tell(trial, state=states.FAIL)
        elif math.isinf(nll):  # TPE counts it among the worse
            self._study.tell(trial, state=states.PRUNED)
        else:
            self._study.tell(trial, nll)


def most_in_a_round(cells: Sequence[Cell], samples: int) -> int:
    """How many cells the first round has, than which no other has more.

    Args:
        cells: that may be tried.
        samples: in all.
    """
    shares = shared_out(samples, [len(group) for group in _by_study(cells).values()])
    return sum(min(PER_ROUND, share) for share in shares)


def _by_study(cells: Sequence[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """The cells of each combo and method."""
    groups = dict[tuple[str, str], list[Cell]]()
    for cell in cells:
        groups.setdefault((cell.combo, cell.settings.method), []).append(cell)
    return groups


def shared_out(n: int, room: Sequence[int]) -> list[int]:
    """So many samples dealt in turn to studies that have room for so many each; more add to fewer.

    >>> shared_out(7, [5, 5, 1]), shared_out(99, [5, 1])
    ([3, 3, 1], [5, 1])
    """
    shares = [0] * len(room)
    while n and shares != list(room):
        for place, most in enumerate(room):
            if n and shares[place] < most:
                shares[place] += 1
                n -= 1
    return shares
