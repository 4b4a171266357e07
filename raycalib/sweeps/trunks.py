"""How many steps a sweep computes, where cells that differ in their length alone share a trunk."""

from collections.abc import Sequence
from dataclasses import replace

from raycalib.sweeps.cells import Cell
from raycalib.tuning.schedule import branch_step


def computed_steps(cells: Sequence[Cell]) -> list[int]:
    """Optimizer steps that each cell computes, in the cells' order.

    Under ``wsd`` cells that differ in ``steps`` alone are tuned from the shortest on, and each goes on from where the
    one before it left their trunk. All others compute all of their steps.
    """
    computed, left = {}, dict[object, int]()
    for cell in sorted(cells, key=lambda cell: (branch_step(cell.settings), cell.settings.steps)):
        trunk = _trunk(cell)
        computed[cell] = cell.settings.steps - left.get(trunk, 0)
        left[trunk] = branch_step(cell.settings)
    return [computed[cell] for cell in cells]


def n_one_after_another(cells: Sequence[Cell]) -> int:
    """How many groups of cells there are whose cells follow one another: those that share a trunk, or one alone."""
    return len({group_of(cell) for cell in cells})


def group_of(cell: Cell) -> object:
    """The same for cells that follow one another: those that share a trunk, or one alone."""
    return _trunk(cell) if cell.settings.schedule == "wsd" else cell


def _trunk(cell: Cell) -> tuple[object, ...]:
    return cell.combo, cell.seed, replace(cell.settings, steps=1, decay_share=1.0)
