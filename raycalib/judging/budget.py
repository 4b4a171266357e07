"""Money that may be spent: the worst case is set aside before a request, the true cost is booked after it."""


class Budget:
    """Never lets ``spent + reserved`` go above ``limit_usd``, so that the limit holds whatever is in flight."""

    def __init__(self, limit_usd: float | None) -> None:
        """No limit where it is None."""
        self.limit_usd = limit_usd
        self.spent_usd = 0.0
        self.reserved_usd = 0.0

    def fits(self, worst_usd: float) -> bool:
        """Whether a request of this worst cost may be made now."""
        return self.limit_usd is None or self.spent_usd + self.reserved_usd + worst_usd <= self.limit_usd

    def may_fit_later(self, worst_usd: float) -> bool:
        """Whether it may be made once all requests in flight turn out to cost nothing."""
        return self.limit_usd is None or self.spent_usd + worst_usd <= self.limit_usd

    def reserve(self, worst_usd: float) -> None:
        """Sets the worst cost aside."""
        self.reserved_usd += worst_usd

    def settle(self, worst_usd: float, cost_usd: float) -> None:
        """Books what a request cost in place of what was set aside for it."""
        self.reserved_usd = max(0.0, self.reserved_usd - worst_usd)
        self.spent_usd += cost_usd
