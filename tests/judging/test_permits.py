import asyncio
import time

import pytest

from raycalib.judging.desk import LocalDesk
from raycalib.judging.ledger import Ask, Grant, LimitSettings, Wish
from raycalib.judging.permits import PermitLine, StoppedError
from raycalib.judging.rate_headers import Allowance, RateNote

WISH = Wish(tokens=1, cost_usd=0.0)


class Recorder(LocalDesk):
    """Keeps what was asked."""

    def __init__(self, limits: LimitSettings | None = None) -> None:
        super().__init__(limits)
        self.asks: list[Ask] = []

    async def exchange(self, ask: Ask) -> Grant:
        self.asks.append(ask)
        await asyncio.sleep(0.01)
        return await super().exchange(ask)


def test_requests_that_wait_together_are_asked_for_together() -> None:
    async def run() -> Recorder:
        desk = Recorder()
        line = PermitLine(desk)
        line.tell_verdict()  # before the first one few are let through
        permits = await asyncio.gather(*(line.acquire(WISH) for _ in range(100)))
        assert len({permit.number for permit in permits}) == 100
        return desk

    assert len(asyncio.run(run()).asks) <= 2


def test_what_is_settled_and_learned_travels_with_the_next_call() -> None:
    async def run() -> Recorder:
        desk = Recorder()
        line = PermitLine(desk)
        permit = await line.acquire(WISH)
        line.settle(permit, 7.0, 0.5)
        line.note(RateNote(requests=Allowance(limit=90, remaining=3, reset_s=1.0)))
        line.note(RateNote(requests=Allowance(limit=80, remaining=0, reset_s=99.0)))
        line.note(RateNote(requests=Allowance(limit=85, remaining=1, reset_s=9.0)))
        await line.flush()
        await line.flush()
        return desk

    desk = asyncio.run(run())
    assert len(desk.asks) == 2
    (settlement,) = desk.asks[1].settled
    assert (settlement.permit, settlement.tokens, settlement.cost_usd) == (1, 7.0, 0.5)
    assert desk.asks[1].note.requests == Allowance(limit=80)  # pauses are told by themselves


def test_a_permit_that_came_too_late_is_not_used() -> None:
    class Slow(Recorder):
        async def exchange(self, ask: Ask) -> Grant:
            if not self.asks:
                await asyncio.sleep(0.3)
            return await super().exchange(ask)

    async def run() -> Slow:
        desk = Slow(LimitSettings(lease_s=0.2))
        permit = await PermitLine(desk).acquire(WISH)
        assert permit.number == 2
        assert time.monotonic() < permit.void_at
        return desk

    desk = asyncio.run(run())
    assert [settled.permit for ask in desk.asks for settled in ask.settled] == [1]


def test_a_reason_to_stop_wakes_all_who_wait_and_sleep() -> None:
    async def run() -> None:
        line = PermitLine(Recorder(LimitSettings(requests=1, window_s=60.0)))
        await line.acquire(WISH)
        waiting = [asyncio.create_task(line.acquire(WISH)) for _ in range(3)]
        waiting.append(asyncio.create_task(line.sleep(60.0)))
        await asyncio.sleep(0.05)
        line.stop("enough")
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(result) for result in results] == ["enough"] * 4
        assert all(isinstance(result, StoppedError) for result in results)
        with pytest.raises(StoppedError, match="enough"):
            await line.acquire(WISH)

    asyncio.run(run())


def test_a_desk_that_is_gone_is_a_reason_to_stop() -> None:
    class Gone(LocalDesk):
        async def exchange(self, ask: Ask) -> Grant:
            raise RuntimeError("the actor died")

    async def run() -> None:
        with pytest.raises(StoppedError, match=r"the desk that hands out permits cannot be reached.*the actor died"):
            await PermitLine(Gone()).acquire(WISH)

    asyncio.run(run())


def test_a_short_sleep_ends_by_itself() -> None:
    asyncio.run(PermitLine(LocalDesk()).sleep(0.01))


def test_what_was_settled_shortens_a_wait() -> None:
    """A request may take 90 tokens of a burst of 50, and takes 5: the next need not wait for a minute's share."""

    async def run() -> float:
        line, wish = PermitLine(Recorder(LimitSettings(tokens=1000))), Wish(tokens=90, cost_usd=0.0)
        began = time.monotonic()
        for _ in range(5):
            permit = await line.acquire(wish)
            waiting = asyncio.create_task(line.acquire(wish))
            await asyncio.sleep(0.05)
            line.settle(permit, 5.0, 0.0)
            line.settle(await waiting, 5.0, 0.0)
        return time.monotonic() - began

    assert asyncio.run(run()) < 15.0


def test_permits_that_come_with_a_reason_to_stop_are_given_back() -> None:
    """Of wishes in one call the first fit the money and a later one ends the run: nothing was sent for any of them."""
    limits = LimitSettings(max_cost_usd=1.0)

    async def run() -> Recorder:
        desk = Recorder(limits)
        line = PermitLine(desk)
        line.tell_verdict()
        line.settle(await line.acquire(Wish(tokens=1, cost_usd=0.5)), 1, 0.5)
        wishes = [Wish(tokens=1, cost_usd=0.004)] * 100 + [Wish(tokens=1, cost_usd=0.6)]
        results = await asyncio.gather(*(line.acquire(wish) for wish in wishes), return_exceptions=True)
        assert all(isinstance(result, StoppedError) for result in results)
        await line.flush()
        return desk

    desk = asyncio.run(run())
    assert desk.ledger.budget.spent_usd == pytest.approx(0.5)
    assert desk.ledger.budget.reserved_usd == pytest.approx(0.0)


@pytest.mark.parametrize("ends", ["stopped", "cancelled", "cancelled too late"])
def test_permits_that_nobody_waits_for_any_more_are_given_back(ends: str) -> None:
    class Held(LocalDesk):
        """Answers when it is told to."""

        def __init__(self) -> None:
            super().__init__(LimitSettings(max_cost_usd=1.0))
            self.called, self.answers = asyncio.Event(), asyncio.Event()

        async def exchange(self, ask: Ask) -> Grant:
            self.called.set()
            await self.answers.wait()
            return await super().exchange(ask)

    async def run() -> Held:
        desk = Held()
        line = PermitLine(desk)
        waiting = [asyncio.create_task(line.acquire(Wish(tokens=1, cost_usd=0.01))) for _ in range(5)]
        await desk.called.wait()
        hand_out = line._hand_out

        def cancel() -> None:
            for task in waiting:
                task.cancel()

        if ends == "stopped":
            line.stop("enough")
        elif ends == "cancelled too late":
            line._hand_out = lambda *given: (hand_out(*given), cancel())  # type: ignore[assignment, func-returns-value]
        else:
            cancel()
        flushing = asyncio.create_task(line.flush())
        await asyncio.sleep(0)  # it waits for the call that is underway
        desk.answers.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, StoppedError | asyncio.CancelledError) for result in results)
        await flushing
        return desk

    desk = asyncio.run(run())
    assert desk.ledger._next == 5
    assert (desk.ledger.budget.spent_usd, desk.ledger.budget.reserved_usd) == (0.0, pytest.approx(0.0))
