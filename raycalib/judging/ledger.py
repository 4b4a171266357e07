"""What all processes of a run share: the limits of requests, tokens and money, and the reason to stop."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
import time

from raycalib.judging.budget import Budget, Purse
from raycalib.judging.rate_headers import RateNote
from raycalib.judging.rate_limit import SlidingWindowLimit, Spent
from raycalib.judging.trial import Dud, Trial

MINUTE_S = 60.0
LEASE_S = 1.0
WAY_S = 1.0
SOONEST_S = 0.05


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """The limits of one run.

    Attributes:
        requests: in a window; 0 is none.
        tokens: in a window; 0 is none.
        max_cost_usd: None is none.
        window_s: a minute; shorter in tests.
        lease_s: a permit that is not used within it is void.
        way_s: from the use of a permit to the server.
        hold_s: a request that was not settled within it is taken to have cost its worst case.
    """

    requests: int = 0
    tokens: int = 0
    max_cost_usd: float | None = None
    window_s: float = MINUTE_S
    lease_s: float = LEASE_S
    way_s: float = WAY_S
    hold_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One request to be made: the tokens and dollars that it may take at worst."""

    tokens: float
    cost_usd: float


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What the request of a permit really took."""

    permit: int
    tokens: float
    cost_usd: float


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a process tells the ledger, all in one call.

    Attributes:
        wishes: requests to be made, first come, first served.
        settled: requests that are over.
        note: the lowest limits that the server named since.
        pause_s: the server wants nothing for so long.
        stop: why nothing should be asked any more.
        judge: whose requests they are; several judges may share a ledger.
        duds: rows of it that were asked in vain.
        verdict: it gave one.
    """

    wishes: tuple[Wish, ...] = ()
    settled: tuple[Settlement, ...] = ()
    note: RateNote = field(default_factory=RateNote)
    pause_s: float = 0.0
    stop: str = ""
    judge: str = ""
    duds: tuple[Dud, ...] = ()
    verdict: bool = False


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What the ledger answers.

    Attributes:
        permits: one per wish that is granted, the first ones.
        wait_s: until the next wish may be granted.
        lease_s: permits are void so many seconds after the call was made.
        stop: why nothing more is granted.
    """

    permits: tuple[int, ...] = ()
    wait_s: float = 0.0
    lease_s: float = LEASE_S
    stop: str = ""


@dataclass(slots=True)
class _Open:
    """A request that is not settled."""

    wish: Wish
    tokens: Spent
    since: float


class Ledger:
    """Grants permits; called by one process at a time."""

    def __init__(
        self, settings: LimitSettings, clock: Callable[[], float] = time.monotonic, purse: Purse | None = None
    ) -> None:
        """``clock`` is monotonic, in seconds; ``purse`` is where money is written down before it is spent."""
        lag_s = settings.lease_s + settings.way_s
        self.settings, self.clock = settings, clock
        self._requests = SlidingWindowLimit(settings.requests or None, settings.window_s, lag_s, clock)
        self._tokens = SlidingWindowLimit(settings.tokens or None, settings.window_s, lag_s, clock)
        self.budget = Budget(settings.max_cost_usd, purse)
        self._open: dict[int, _Open] = {}
        self._trials: defaultdict[str, Trial] = defaultdict(Trial)
        self._next = 0
        self._resume_at = 0.0
        self.stop = ""

    def exchange(self, ask: Ask) -> Grant:
        """Takes in what a process tells, and grants the first of its wishes that fit."""
        for settlement in ask.settled:
            self._settle(settlement)
        self._learn(ask)
        permits: list[int] = []
        wait_s = 0.0
        for wish in ask.wishes:
            wait_s = self._trial_wait_s(ask.judge) or self._wait_s(wish)
            if self.stop or wait_s > 0:
                break
            permits.append(self._grant(wish))
        return Grant(
            permits=tuple(permits),
            wait_s=max(wait_s, SOONEST_S) if wait_s else 0.0,
            lease_s=self.settings.lease_s,
            stop=self.stop,
        )

    def left(self) -> dict[str, list[list[float]]]:
        """What is counted still of the limits, for a run that follows."""
        return {"requests": self._requests.left(), "tokens": self._tokens.left()}

    def restore(self, left: dict[str, list[list[float]]], age_s: float, unknown_s: float) -> None:
        """Counts what an earlier run used; see ``SlidingWindowLimit.restore``."""
        self._requests.restore(left["requests"], age_s, unknown_s)
        self._tokens.restore(left["tokens"], age_s, unknown_s)

    def _learn(self, ask: Ask) -> None:
        for limit, allowance in ((self._requests, ask.note.requests), (self._tokens, ask.note.tokens)):
            if allowance.limit is not None:
                limit.lower(allowance.limit)
        if ask.pause_s:
            self._resume_at = max(self._resume_at, self.clock() + ask.pause_s)
        in_vain = self._trials[ask.judge].count(ask.duds, ask.verdict)
        self.stop = self.stop or ask.stop or in_vain

    def _trial_wait_s(self, judge: str) -> float:
        """Until a judge gave its first verdict few rows are underway."""
        if self._trials[judge].has_room(len(self._open)):
            return 0.0
        self._close_old()
        return 0.0 if self._trials[judge].has_room(len(self._open)) else SOONEST_S

    def _wait_s(self, wish: Wish) -> float:
        wait_s = max(self._resume_at - self.clock(), self._requests.wait_s(1), self._tokens.wait_s(wish.tokens))
        if wait_s <= 0 and not self.budget.fits(wish.cost_usd):
            self._close_old()
            if self._open and self.budget.may_fit_later(wish.cost_usd):
                return SOONEST_S
            self.stop = self.stop or self._no_money()
        return wait_s

    def _no_money(self) -> str:
        spent, others = self.budget.spent_usd, self.budget.others_usd
        of_others = f", ${others:.4f} of them by other runs into this directory" if others else ""
        return (
            f"the next request could exceed max_cost_usd ({self.settings.max_cost_usd:g}): ${spent + others:.4f} are "
            f"spent{of_others}; raise --max-cost-usd to go on"
        )

    def _grant(self, wish: Wish) -> int:
        self._requests.take(1)
        self.budget.reserve(wish.cost_usd)
        self._next += 1
        self._open[self._next] = _Open(wish, self._tokens.take(wish.tokens), self.clock())
        return self._next

    def _settle(self, settlement: Settlement) -> None:
        """A settlement that comes twice, or after its request was closed, changes nothing."""
        if settlement.permit in self._open:
            request = self._open.pop(settlement.permit)
            self._tokens.settle(request.tokens, settlement.tokens)
            self.budget.settle(request.wish.cost_usd, settlement.cost_usd)

    def _close_old(self) -> None:
        """Requests of processes that died are booked at their worst."""
        oldest = self.clock() - self.settings.hold_s
        for permit, request in list(self._open.items()):
            if request.since > oldest:
                break
            self._settle(Settlement(permit=permit, tokens=request.wish.tokens, cost_usd=request.wish.cost_usd))
