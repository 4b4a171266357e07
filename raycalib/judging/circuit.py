"""When to stop asking: a server that fails for a while is not asked again for every row."""


class Circuit:
    """Opens once ``n_failures`` requests in a row failed and ``outage_s`` seconds went by since the first of them.

    Both are needed: hundreds of requests in flight can fail in one moment, and one slow request can fail twice in
    minutes. Requests that the server refused for being too many do not count.
    """

    def __init__(self, n_failures: int, outage_s: float) -> None:
        self.n_failures = n_failures
        self.outage_s = outage_s
        self.successes = 0
        self.failures = 0
        self._since = 0.0

    def succeeded(self) -> None:
        """Counts a reply."""
        self.successes += 1
        self.failures = 0

    def failed(self, now: float) -> bool:
        """Counts a failure at this time in seconds; returns whether the circuit opens."""
        if not self.failures:
            self._since = now
        self.failures += 1
        return self.failures >= self.n_failures and now - self._since >= self.outage_s
