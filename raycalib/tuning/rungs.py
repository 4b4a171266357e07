"""Asynchronous successive halving (ASHA; Li et al. 2020, arXiv 1810.05934): runs that fall behind others are stopped.

What each run has shown lies in a place that they share, so that runs of other processes and nodes, and those of an
earlier attempt, are compared too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np

from raycalib.storage import Location


@dataclass(frozen=True, kw_only=True)
class Rungs:
    """Of one run; plain values, so that it pickles to workers.

    Attributes:
        place: of all runs that are compared.
        key: names the run among them.
        milestones: steps after which it is compared, ascending.
        reduction_factor: of so many runs one goes on, about.
    """

    place: Location
    key: str
    milestones: tuple[int, ...]
    reduction_factor: float

    def falls_behind(self, step: int, nll: float) -> str:
        """Notes what an evaluation shows, and says why the run is not worth going on with; empty where it is.

        A run is compared once at each milestone, by its first evaluation there or later, with those that were evaluated
        at the same step before it; the first to come goes on. So one that begins on its way, as from a trunk, is not
        compared with younger ones.

        Args:
            step: after which the run was evaluated.
            nll: on the rows that it is chosen by.

        Raises:
            StorageError: the shared place cannot be read or written.
        """
        reached = [milestone for milestone in self.milestones if milestone <= step]
        if not reached or not math.isfinite(nll):
            return ""
        rung, own = self.place / str(reached[-1]), f"{self.key}.json"
        names = rung.names()
        if own in names and rung.read_json(own)["step"] != step:  # a run that goes on may evaluate that step again
            return ""
        found = [rung.read_json(name) for name in sorted(names) if name != own]
        others = [other["nll"] for other in found if other["step"] == step]
        rung.write_json(own, {"step": step, "nll": nll})
        bound = cutoff(others, self.reduction_factor)
        if bound is None or nll <= bound:
            return ""
        return (
            f"val NLL {nll:.4f} at step {step} is above {bound:.4f}, the bound of the best of every "
            f"{self.reduction_factor:g} among {len(others)} trials evaluated there before"
        )


def milestones(grace_period: int, reduction_factor: float, steps: int) -> tuple[int, ...]:
    """The grace period and its multiples by powers of the factor, below ``steps``.

    >>> milestones(10, 3, 100)
    (10, 30, 90)
    """
    found, at = list[int](), float(max(grace_period, 1))
    while at < steps:
        found.append(int(at))
        at *= reduction_factor
    return tuple(found)


def cutoff(nlls: Sequence[float], reduction_factor: float) -> float | None:
    """The NLL that one of every ``reduction_factor`` runs is not above; None where there are none.

    >>> cutoff([1.0, 2.0, 3.0, 4.0, 5.0], 2)
    3.0
    """
    return float(np.percentile(nlls, 100 / reduction_factor)) if nlls else None
