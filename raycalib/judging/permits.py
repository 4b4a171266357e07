"""Waits in line for permits: the requests of one process are asked for together, one call at a time."""

import asyncio
from collections import deque
import contextlib
from dataclasses import dataclass
import time

from raycalib.judging.desk import Desk
from raycalib.judging.ledger import Ask, Grant, Settlement, Wish
from raycalib.judging.rate_headers import Allowance, RateNote
from raycalib.judging.trial import Dud

MOST_WISHES = 512
QUIETEST_S = 5.0
LOOK_S = 0.25


class StoppedError(Exception):
    """Nothing more is to be asked; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Permit:
    """One request may be sent until ``void_at``, seconds of the monotonic clock."""

    number: int
    wish: Wish
    void_at: float


class PermitLine:
    """The line of one process; belongs to one event loop.

    Settlements and what servers said travel with the next call, so that a busy process makes a few calls per second
    however many requests it sends. Where a permit has to be waited for, calls are a quarter of a lease apart.
    """

    def __init__(self, desk: Desk, judge: str = "") -> None:
        self.desk, self.judge = desk, judge
        self.stop_reason = ""
        self._waiting: deque[tuple[Wish, asyncio.Future[Permit]]] = deque()
        self._settled: list[Settlement] = []
        self._duds: list[Dud] = []
        self._verdict = False
        self._note = RateNote()
        self._pause_until = 0.0
        self._pump: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._calling = asyncio.Lock()

    async def acquire(self, wish: Wish) -> Permit:
        """A permit that is still good.

        Raises:
            StoppedError: nothing more is to be asked.
        """
        while True:
            if self.stop_reason:
                raise StoppedError(self.stop_reason)
            future: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
            self._waiting.append((wish, future))
            self._tell()
            try:
                permit = await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled() and future.exception() is None:
                    self.settle(future.result(), 0.0, 0.0)
                raise
            if time.monotonic() < permit.void_at:
                return permit
            self.settle(permit, 0.0, 0.0)  # void: it stays counted as a request, and is not used

    def settle(self, permit: Permit, tokens: float, cost_usd: float) -> None:
        """Says what the request of a permit took."""
        self._settled.append(Settlement(permit=permit.number, tokens=tokens, cost_usd=cost_usd))

    def tell_dud(self, dud: Dud) -> None:
        """Says that a row was asked in vain; told at once, since others may wait for it."""
        self._duds.append(dud)
        self._tell()

    def tell_verdict(self) -> None:
        """Says that the judge gives verdicts; told at once."""
        self._verdict = True
        self._tell()

    def note(self, note: RateNote) -> None:
        """Passes on what a response's headers said of limits, with the next call."""
        self._note = RateNote(
            requests=_tighter(self._note.requests, note.requests), tokens=_tighter(self._note.tokens, note.tokens)
        )

    def pause(self, seconds: float) -> None:
        """Nothing should be asked for so long, by anyone; told at once."""
        until = time.monotonic() + seconds
        if until > self._pause_until:
            self._pause_until = until
            self._tell()

    def _tell(self) -> None:
        """Calls the desk, unless a call is due anyway."""
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._serve())

    def stop(self, reason: str) -> None:
        """Ends the asking, here at once and elsewhere with their next calls."""
        if not self.stop_reason:
            self.stop_reason = reason
            self._stopped.set()
            self._tell()
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(StoppedError(self.stop_reason))
        self._waiting.clear()

    async def sleep(self, seconds: float) -> None:
        """Sleeps, and wakes up early where the asking ends.

        Raises:
            StoppedError: it has ended.
        """
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return
        raise StoppedError(self.stop_reason)

    async def flush(self) -> None:
        """Tells the desk what was not told yet, and waits for its answer."""
        if self._settled or self._note or self._duds or self._verdict or self.stop_reason:
            await self._exchange()
        async with self._calling:  # what it answers to the call before may be a reason to stop
            pass
        if self._settled:  # permits that came with it, and that nobody uses
            await self._exchange()

    async def close(self) -> None:
        """Ends a call that is waited for."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _serve(self) -> None:
        try:
            while True:
                wait_s = await self._exchange()
                if not self._waiting:
                    return
                if wait_s:
                    await self._wait(wait_s)
        except Exception as error:
            reason = f"the desk that hands out permits cannot be reached: {type(error).__name__}: {error}"
            self.stop(" ".join(reason.split())[:300])

    async def _wait(self, wait_s: float) -> None:
        """Waits so long, or until something was settled: what a request may take is more than what it takes."""
        until = time.monotonic() + wait_s
        with contextlib.suppress(StoppedError):
            while (left := until - time.monotonic()) > 0:
                await self.sleep(min(left, LOOK_S))
                if self._settled:
                    return

    async def _exchange(self) -> float:
        """One call at a time; returns the seconds until the next one makes sense."""
        async with self._calling:
            return await self._call()

    async def _call(self) -> float:
        self._waiting = deque(waiting for waiting in self._waiting if not waiting[1].done())  # some were cancelled
        wishes = tuple(wish for wish, _ in list(self._waiting)[:MOST_WISHES])
        ask = Ask(
            wishes=wishes,
            settled=tuple(self._settled),
            note=self._note,
            pause_s=max(0.0, self._pause_until - time.monotonic()),
            stop=self.stop_reason,
            judge=self.judge,
            duds=tuple(self._duds),
            verdict=self._verdict,
        )
        self._settled, self._note, self._duds, self._verdict = [], RateNote(), [], False
        began = time.monotonic()
        grant = await self.desk.exchange(ask)
        if grant.stop:
            self.stop(grant.stop)
        self._hand_out(grant, wishes, began + grant.lease_s)
        if grant.stop:
            return 0.0
        return min(max(grant.wait_s, grant.lease_s / 4), QUIETEST_S) if grant.wait_s else 0.0

    def _hand_out(self, grant: Grant, wishes: tuple[Wish, ...], void_at: float) -> None:
        """Permits to those who wait; one that nobody waits for is given back, or it would be booked at its worst."""
        for number, wish in zip(grant.permits, wishes, strict=False):
            permit = Permit(number=number, wish=wish, void_at=void_at)
            future = self._waiting.popleft()[1] if self._waiting else None  # empty where the asking ended meanwhile
            if future is None or future.done():
                self.settle(permit, 0.0, 0.0)
            else:
                future.set_result(permit)


def _tighter(one: Allowance, other: Allowance) -> Allowance:
    """The lower limit; a pause is told by itself, since it counts from now."""
    limits = [allowance.limit for allowance in (one, other) if allowance.limit is not None]
    return Allowance(limit=min(limits, default=None))
