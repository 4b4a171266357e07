"""How far two judges agree, beyond what chance would give."""

from collections.abc import Sequence
from dataclasses import dataclass
import math


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Two judges on the rows that both scored.

    Attributes:
        n: such rows.
        n_unscored: rows that one of them left unscored.
        observed: share of rows on which they agree, in [0, 1]; NaN without rows.
        kappa: Cohen's, in [-1, 1], higher is better; NaN without rows, or where both gave one label to all.
    """

    n: int
    n_unscored: int
    observed: float
    kappa: float


def agreement(first: Sequence[int | None], second: Sequence[int | None]) -> Agreement:
    """Cohen's kappa of two judges' labels.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the share of equal labels and p_e = sum over the labels of the product of
    the shares in which each judge gives it: the agreement of two judges who draw labels at their own rates.

    Args:
        first: labels, 1, 0 or None for unscored.
        second: of the same rows.

    Raises:
        ValueError: they are not of one length.

    Source: J. Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20
    (1960).

    >>> agreement([1, 1, 0, 0, None], [1, 0, 0, 0, 1])
    Agreement(n=4, n_unscored=1, observed=0.75, kappa=0.5)
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    n, n_unscored = len(pairs), len(first) - len(pairs)
    if not n:
        return Agreement(n=0, n_unscored=n_unscored, observed=math.nan, kappa=math.nan)
    observed = sum(a == b for a, b in pairs) / n
    right = [sum(pair[place] for pair in pairs) for place in (0, 1)]
    by_chance = (right[0] * right[1] + (n - right[0]) * (n - right[1])) / n**2
    kappa = math.nan if by_chance == 1 else (observed - by_chance) / (1 - by_chance)
    return Agreement(n=n, n_unscored=n_unscored, observed=observed, kappa=kappa)
