"""Money that may be spent: the worst case is set aside before a request, the true cost is booked after it."""

import math
from typing import Protocol

ROUNDING_USD = 1e-12
"""What is left of sums that are 0 is no money."""


class Purse(Protocol):
    """Where a run writes down what it may have spent before it spends it, and sees what other runs did."""

    @property
    def others_usd(self) -> float:
        """What other runs have spent, and set aside."""

    def cover(self, spent_usd: float, most_usd: float, worst_usd: float, limit_usd: float | None) -> bool:
        """Whether this run's record holds as much as it may have spent, and that is within the limit with the others.

        Args:
            spent_usd: booked by this run.
            most_usd: with all that is in flight, and the next request, at its worst.
            worst_usd: of the next request alone.
            limit_usd: of all runs; None is none.
        """


class Budget:
    """Never lets ``spent + reserved``, with what other runs spent, go above ``limit_usd``, whatever is in flight."""

    def __init__(self, limit_usd: float | None, purse: Purse | None = None) -> None:
        """No limit where it is None; without a purse nothing is written down and there are no other runs."""
        self.limit_usd = limit_usd
        self.purse = purse
        self.spent_usd = 0.0
        self.reserved_usd = 0.0

    @property
    def others_usd(self) -> float:
        """What other runs have spent, and set aside."""
        return 0.0 if self.purse is None else self.purse.others_usd

    def fits(self, worst_usd: float) -> bool:
        """Whether a request of this worst cost may be made now; it is written down then."""
        most_usd = self.spent_usd + self.reserved_usd + worst_usd
        if self.limit_usd is not None and self.others_usd + most_usd > self.limit_usd:
            return False
        return self.purse is None or self.purse.cover(self.spent_usd, most_usd, worst_usd, self.limit_usd)

    def may_fit_later(self, worst_usd: float) -> bool:
        """Whether it may be made once all requests in flight turn out to cost nothing."""
        return self.limit_usd is None or self.others_usd + self.spent_usd + worst_usd <= self.limit_usd

    def reserve(self, worst_usd: float) -> None:
        """Sets the worst cost aside."""
        self.reserved_usd += worst_usd

    def settle(self, worst_usd: float, cost_usd: float) -> None:
        """Books what a request cost in place of what was set aside for it; what can be no cost is the worst."""
        left_usd = self.reserved_usd - worst_usd
        self.reserved_usd = left_usd if left_usd > ROUNDING_USD else 0.0
        self.spent_usd += cost_usd if 0 <= cost_usd < math.inf else worst_usd

    def book_all(self) -> None:
        """Books what is in flight at its worst."""
        self.spent_usd, self.reserved_usd = self.spent_usd + self.reserved_usd, 0.0
