"""A limit on any sliding window, counted as the server counts: when a request arrives, not when it was allowed."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math

BURST_SHARE = 0.05
ROUNDING = 1e-9


@dataclass(slots=True)
class Spent:
    """An amount that was taken, and the time until which it is counted."""

    amount: float
    freed_at: float


class SlidingWindowLimit:
    """Allows at most ``limit`` in every window of ``window_s`` seconds, evenly spread.

    What is allowed now may arrive at the server up to ``lag_s`` seconds later: the time in which a permit can be used,
    and the way to the server. So it is counted until ``window_s + lag_s`` seconds from now, whether it was used or not:
    a permit whose holder was killed cannot be used twice. Of the limit a share ``window_s / (window_s + lag_s)`` can
    be used. A bucket in front of the window lets at most 5 % of the limit through at once, since servers enforce a
    limit per minute over shorter times as well.
    """

    def __init__(self, limit: float | None, window_s: float, lag_s: float, clock: Callable[[], float]) -> None:
        """No limit where ``limit`` is None; ``clock`` is monotonic, in seconds."""
        self.window_s, self.lag_s, self.clock = window_s, lag_s, clock
        self.limit = limit
        self._spent: deque[Spent] = deque()
        self._used = 0.0
        self._level = self._burst
        self._filled = clock()

    @property
    def _burst(self) -> float:
        return math.inf if self.limit is None else max(1.0, math.ceil(self.limit * BURST_SHARE))

    @property
    def _rate(self) -> float:
        return math.inf if self.limit is None else self.limit / (self.window_s + self.lag_s)

    def lower(self, limit: float) -> None:
        """Takes over a limit that the server names, if it is lower."""
        if self.limit is None or limit < self.limit:
            self._level = min(self._level, max(1.0, math.ceil(limit * BURST_SHARE)))
            self.limit = limit

    def wait_s(self, amount: float) -> float:
        """Seconds until this amount may be taken, 0 for now; an amount above the limit waits for an empty window."""
        self._advance()
        if self.limit is None:
            return 0.0
        in_bucket = min(amount, self._burst)
        for_bucket = 0.0 if self._level >= in_bucket - ROUNDING else (in_bucket - self._level) / self._rate
        return max(for_bucket, self._window_wait_s(min(amount, self.limit)))

    def _window_wait_s(self, amount: float) -> float:
        assert self.limit is not None
        over = self._used + amount - self.limit
        if over <= ROUNDING:
            return 0.0
        now = self.clock()
        for spent in self._spent:
            over -= spent.amount
            if over <= ROUNDING:
                return max(0.0, spent.freed_at - now)
        return self.window_s

    def take(self, amount: float) -> Spent:
        """Counts an amount from now on; what is returned can be settled."""
        self._advance()
        spent = Spent(amount, self.clock() + self.window_s + self.lag_s)
        self._level -= amount if self.limit is not None else 0.0
        self._used += amount
        self._spent.append(spent)
        return spent

    def settle(self, spent: Spent, amount: float) -> None:
        """Corrects what was taken to what was really used."""
        self._advance()
        change, spent.amount = amount - spent.amount, amount
        if spent.freed_at > self._filled:
            self._used += change
            self._level = min(self._burst, self._level - change) if self.limit is not None else self._level

    def left(self) -> list[list[float]]:
        """What is counted still, by whole seconds until it is free: ``[seconds, amount]``, soonest first."""
        self._advance()
        by_second: defaultdict[int, float] = defaultdict(float)
        for spent in self._spent if self.limit is not None else ():
            by_second[math.ceil(spent.freed_at - self._filled)] += spent.amount
        return [[float(second), amount] for second, amount in sorted(by_second.items())]

    def restore(self, left: Sequence[Sequence[float]], age_s: float, unknown_s: float) -> None:
        """Counts what an earlier run left; to be called before anything is taken.

        Args:
            left: what its ``left`` gave.
            age_s: seconds since.
            unknown_s: so long it may have gone on after that; it is taken to have used all that it was allowed.
        """
        if self.limit is None:
            return
        now = self.clock()
        if unknown_s:
            gone = min(self.limit, self._rate * unknown_s + self._burst)
            left = [*left, [self.window_s + self.lag_s + age_s, gone]]
        for seconds, amount in sorted((seconds, amount) for seconds, amount in left):
            if seconds > age_s:
                self._spent.append(Spent(amount, now + seconds - age_s))
                self._used += amount
                self._level = 0.0

    def _advance(self) -> None:
        now = self.clock()
        while self._spent and self._spent[0].freed_at <= now:
            self._used -= self._spent.popleft().amount
        if not self._spent:
            self._used = 0.0  # no rounding adds up over millions of rows
        if self.limit is not None:
            self._level = min(self._burst, self._level + (now - self._filled) * self._rate)
        self._filled = now
