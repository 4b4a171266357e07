"""How many answers are right and wrong among labels, and whether anything can be learned from them."""

from collections.abc import Iterable
from typing import NamedTuple

LEAST_PER_CLASS = 10
"""Right answers, and wrong ones, below which tuning and selection rest on chance: said, and gone on with."""

LEAST_TO_FIT = 50
"""Labels below which no temperature is fitted."""


class LabelCounts(NamedTuple):
    """Labels of one split, unscored rows left out."""

    n_right: int
    n_wrong: int

    @classmethod
    def of(cls, labels: Iterable[int | None]) -> "LabelCounts":
        """Counts the labels that are 1 and 0; None is neither."""
        n_right = n_scored = 0
        for label in labels:
            n_scored += 0 if label is None else 1
            n_right += 1 if label == 1 else 0
        return cls(n_right, n_scored - n_right)

    @property
    def n(self) -> int:
        """Labels."""
        return self.n_right + self.n_wrong

    def nothing_said(self, name: str) -> str:
        """Why nothing can be learned from these labels; empty where something can.

        >>> LabelCounts(0, 416).nothing_said("training labels")
        'all 416 training labels are 0'
        """
        if not self.n:
            return f"there are no {name}"
        return "" if self.n_right and self.n_wrong else f"all {self.n:,} {name} are {int(self.n_right > 0)}"

    def little_said(self, name: str) -> str:
        """What is scarce where there are both classes; empty where enough of both are there.

        >>> LabelCounts(3, 189).little_said("training labels")
        'of 192 training labels only 3 are 1 (below 10 of a class, what is learned is chance)'
        """
        fewer, label = (self.n_right, 1) if self.n_right <= self.n_wrong else (self.n_wrong, 0)
        if not 0 < fewer < LEAST_PER_CLASS:
            return ""
        return (
            f"of {self.n:,} {name} only {fewer} are {label} (below {LEAST_PER_CLASS} of a class, what is learned is "
            "chance)"
        )
