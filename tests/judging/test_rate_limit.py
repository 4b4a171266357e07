"""Limits on a clock that the tests set: what is allowed, and what a server would count."""

from bisect import bisect_left
import random

import pytest

from raycalib.judging.rate_limit import SlidingWindowLimit


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def most_in_window(times: list[float], window_s: float) -> int:
    times = sorted(times)
    return max(i - bisect_left(times, end - window_s + 1e-9) + 1 for i, end in enumerate(times))


def drive(limit: SlidingWindowLimit, clock: Clock, seconds: float, amount: float = 1.0) -> list[float]:
    """Takes as much as is allowed; returns the times."""
    end, times = clock.now + seconds, []
    while clock.now < end:
        wait = limit.wait_s(amount)
        if wait:
            clock.now += wait + 1e-6
        else:
            limit.take(amount)
            times.append(clock.now)
    return times


@pytest.mark.parametrize(("limit", "lag_s"), [(600, 2.0), (60, 1.0), (7, 0.0), (1, 2.0), (30_000, 2.0)])
def test_no_window_holds_more_than_the_limit_wherever_requests_arrive_within_the_lag(limit: int, lag_s: float) -> None:
    clock, draw = Clock(), random.Random(3)
    times = drive(SlidingWindowLimit(limit, 60.0, lag_s, clock), clock, 300.0)
    arrivals = [time + draw.uniform(0, lag_s) for time in times]
    latest = [time + lag_s if time - 1000.0 < 60 else time for time in times]
    assert most_in_window(arrivals, 60.0) <= limit
    assert most_in_window(latest, 60.0) <= limit
    assert len(times) >= 0.95 * limit * 300 / 60 - 1


def test_a_burst_is_a_twentieth_of_the_limit() -> None:
    clock = Clock()
    limit = SlidingWindowLimit(600, 60.0, 0.0, clock)
    n = 0
    while not limit.wait_s(1):
        limit.take(1)
        n += 1
    assert n == 30
    assert limit.wait_s(1) == pytest.approx(0.1)  # 600 in 60 s


def test_amounts_count_and_are_corrected_when_settled() -> None:
    clock = Clock()
    limit = SlidingWindowLimit(1000, 60.0, 0.0, clock)
    taken = limit.take(1000)
    assert limit.wait_s(10) > 50
    limit.settle(taken, 100)
    assert limit.wait_s(50) == pytest.approx((50 - (50 - 100)) / (1000 / 60))  # the bucket of 50 is 50 in debt
    clock.now += 6.1
    assert limit.wait_s(50) == 0


def test_an_amount_above_the_limit_waits_for_an_empty_window() -> None:
    clock = Clock()
    limit = SlidingWindowLimit(100, 60.0, 1.0, clock)
    assert limit.wait_s(5000) == 0
    limit.take(5000)
    clock.now += 60.9
    assert limit.wait_s(1) > 0
    clock.now += 5000 / (100 / 61)
    assert limit.wait_s(5000) == 0


def test_settling_late_does_not_change_the_window() -> None:
    clock = Clock()
    limit = SlidingWindowLimit(10, 60.0, 0.0, clock)
    taken = limit.take(1)
    clock.now += 61
    limit.settle(taken, 0)
    times = drive(limit, clock, 120.0)
    assert most_in_window(times, 60.0) <= 10


def test_without_a_limit_nothing_waits_until_a_server_names_one() -> None:
    clock = Clock()
    limit = SlidingWindowLimit(None, 60.0, 1.0, clock)
    for _ in range(100):
        assert limit.wait_s(1) == 0
        limit.take(1)
    limit.lower(50)
    assert limit.wait_s(1) > 50  # what was asked before counts
    limit.lower(80)
    assert limit.limit == 50
