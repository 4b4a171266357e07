"""How far the figures of chosen cells hang on the seed."""

from collections.abc import Collection, Sequence
from statistics import mean, stdev

from raycalib.sweeps.axes import SEED
from raycalib.sweeps.cells import Cell
from raycalib.sweeps.trials import Trial


def seeds_beside(cell: Cell, n: int, taken: Collection[int]) -> list[Cell]:
    """The cell with so many other seeds, the next ones that no trial of it has."""
    found, seed = list[Cell](), cell.seed
    while len(found) < n:
        seed += 1
        if seed not in taken:
            found.append(cell.with_seed(seed))
    return found


def spread_lines(trials: Sequence[Trial], repeats: Sequence[Trial], chosen: Collection[str]) -> list[str]:
    """For each chosen cell with repeats, mean and standard deviation of its NLL over the seeds.

    Args:
        trials: of the sweep.
        repeats: of chosen cells with other seeds.
        chosen: keys of the chosen trials.
    """
    lines = []
    for trial in trials:
        same = [each for each in repeats if each.cell.without_seed == trial.cell.without_seed]
        if trial.key not in chosen or not same:
            continue
        of_cell = [each for each in trials if each.cell.without_seed == trial.cell.without_seed]
        nll = [each.nll for each in (*of_cell, *same) if each.nll is not None]
        failed = f", {n} failed" if (n := sum(each.nll is None for each in same)) else ""
        title = " ".join(part for part in trial.cell.title.split() if not part.startswith(f"{SEED}="))
        spread = f" ± {stdev(nll):.4f} (standard deviation)" if len(nll) > 1 else ""
        lines.append(f"{trial.cell.combo} {title}: val NLL {mean(nll):.4f}{spread} over {len(nll)} seeds{failed}")
    return lines
