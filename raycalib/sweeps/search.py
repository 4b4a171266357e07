"""Which cells a sweep tries, and in which rounds: all at once, or by what the ones before have shown."""

from collections.abc import Sequence
from typing import Protocol

from raycalib.sweeps.cells import Cell
from raycalib.sweeps.settings import SweepSettings
from raycalib.sweeps.tpe import TpeSearch
from raycalib.sweeps.trials import Trial


class Search(Protocol):
    """What is asked for cells until it has none, and is told what became of them each time."""

    @property
    def n_left(self) -> int:
        """Cells that it may yet ask for."""

    def ask(self) -> list[Cell]:
        """The next cells, which are tried side by side; empty where the search is over."""

    def tell(self, trials: Sequence[Trial]) -> None:
        """What became of the cells that were asked last."""


class AllAtOnce:
    """Of a grid or a random draw: what is tried hangs on no result."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._left = list(cells)

    @property
    def n_left(self) -> int:
        """Those that were not asked for."""
        return len(self._left)

    def ask(self) -> list[Cell]:
        """All cells, once."""
        cells, self._left = self._left, []
        return cells

    def tell(self, trials: Sequence[Trial]) -> None:
        """Changes nothing."""


def search_of(cells: Sequence[Cell], settings: SweepSettings, seed: int) -> Search:
    """The search that the settings name.

    Args:
        cells: that may be tried.
        settings: of the sweep.
        seed: of the run.
    """
    return TpeSearch(cells, settings.samples, seed) if settings.search == "optuna" else AllAtOnce(cells)
