"""When to stop asking: a server that fails for a while is not asked again for every row."""

import math


class Circuit:
    """Opens once ``n_failures`` requests in a row failed and ``outage_s`` seconds went by since the first of them.

    Both are needed: hundreds of requests in flight can fail in one moment, and one slow request can fail twice in
    minutes. Requests that the server refused for being too many do not count, until it has refused all of them for
    ``busy_s`` seconds: a quota that is used up.
    """

    def __init__(self, n_failures: int, outage_s: float, busy_s: float = math.inf) -> None:
        self.n_failures = n_failures
        self.outage_s, self.busy_s = outage_s, busy_s
        self.successes = 0
        self.failures = 0
        self._since = 0.0
        self._busy_since: float | None = None

    def succeeded(self) -> None:
        """Counts a reply."""
        self.successes += 1
        self.failures = 0
        self._busy_since = None

    def refused(self, now: float) -> bool:
        """Counts a request that was one too many; returns whether the circuit opens."""
        self._busy_since = now if self._busy_since is None else self._busy_since
        return now - self._busy_since >= self.busy_s

    def failed(self, now: float) -> bool:
        """Counts a failure at this time in seconds; returns whether the circuit opens."""
        if not self.failures:
            self._since = now
        self.failures += 1
        return self.failures >= self.n_failures and now - self._since >= self.outage_s
