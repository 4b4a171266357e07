"""How much of what trials differ by lies in each axis."""

from collections.abc import Sequence

import numpy as np

from raycalib.sweeps.trials import Trial

NO_DIFFERENCE = 1e-9
"""Nats, within which sums of floats differ too."""


def axis_shares(trials: Sequence[Trial]) -> dict[str, float]:
    """Of one combo's finished trials, the share of the variance of their NLL that each axis explains alone, in [0, 1].

    It is the sum of squares between the axis's values over the whole sum of squares (eta squared). What they leave is
    what axes only do together, and chance; in a random search they overlap.

    Returns:
        By axis with more than one value, in the axes' order; empty where no two NLLs differ.
    """
    done = [trial for trial in trials if trial.nll is not None]
    nll = np.array([trial.nll for trial in done], dtype=np.float64)
    if not len(nll) or np.ptp(nll) < NO_DIFFERENCE:
        return {}
    whole = float(((nll - nll.mean()) ** 2).sum())
    shares = {}
    for name in dict.fromkeys(name for trial in done for name, _ in trial.cell.values):
        values = [trial.cell.value(name) for trial in done]
        groups = [nll[[each == value for each in values]] for value in set(values)]
        if len(groups) > 1:
            between = sum(len(group) * (group.mean() - nll.mean()) ** 2 for group in groups)
            shares[name] = float(between / whole)
    return shares
