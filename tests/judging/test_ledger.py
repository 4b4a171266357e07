import random

from hypothesis import given
from hypothesis import strategies as st
import pytest

from raycalib.judging.budget import Budget
from raycalib.judging.ledger import Ask, Ledger, LimitSettings, Settlement, Wish
from raycalib.judging.rate_headers import Allowance, RateNote
from tests.judging.test_rate_limit import Clock

FREE = Wish(tokens=10, cost_usd=0.0)


def test_without_limits_all_wishes_are_granted_at_once() -> None:
    grant = Ledger(LimitSettings()).exchange(Ask(wishes=(FREE,) * 300, verdict=True))
    assert len(set(grant.permits)) == 300
    assert (grant.wait_s, grant.stop) == (0.0, "")


def test_the_first_wishes_that_fit_are_granted_and_the_wait_is_named() -> None:
    clock = Clock()
    ledger = Ledger(LimitSettings(requests=100, lease_s=1.0, way_s=1.0), clock)
    grant = ledger.exchange(Ask(wishes=(FREE,) * 8))
    assert len(grant.permits) == 5  # a twentieth of the limit
    assert grant.wait_s == pytest.approx(62 / 100)
    clock.now += grant.wait_s
    assert len(ledger.exchange(Ask(wishes=(FREE,) * 8)).permits) == 1


def test_permits_of_a_process_that_died_stay_counted() -> None:
    clock = Clock()
    ledger = Ledger(LimitSettings(requests=4, lease_s=1.0, way_s=0.0), clock)
    granted = []
    for _ in range(240):
        granted += [clock.now] * len(ledger.exchange(Ask(wishes=(FREE,))).permits)
        clock.now += 0.5
    assert all(len([t for t in granted if start <= t < start + 61]) <= 4 for start in granted)


def test_tokens_are_limited_and_settled() -> None:
    ledger = Ledger(LimitSettings(tokens=1000), Clock())
    wish = Wish(tokens=40, cost_usd=0)
    first = ledger.exchange(Ask(wishes=(wish,) * 3))
    assert len(first.permits) == 1  # of a bucket of 50
    settled = tuple(Settlement(permit=permit, tokens=5, cost_usd=0) for permit in first.permits)
    assert len(ledger.exchange(Ask(wishes=(wish,) * 3, settled=settled)).permits) == 1


def test_a_lower_limit_of_the_server_is_taken_over_and_a_pause_kept() -> None:
    clock = Clock()
    ledger = Ledger(LimitSettings(requests=6000), clock)
    note = RateNote(requests=Allowance(limit=20))
    assert ledger.exchange(Ask(wishes=(FREE,), note=note, pause_s=3.0)).wait_s == pytest.approx(3.0)
    clock.now += 3.01
    assert len(ledger.exchange(Ask(wishes=(FREE,) * 10)).permits) == 1
    assert ledger.exchange(Ask(wishes=(FREE,), pause_s=9.0)).wait_s == pytest.approx(9.0)


def test_a_reason_to_stop_reaches_everybody() -> None:
    ledger = Ledger(LimitSettings())
    ledger.exchange(Ask(stop="the key is wrong"))
    grant = ledger.exchange(Ask(wishes=(FREE,), stop="another reason"))
    assert (grant.permits, grant.stop) == ((), "the key is wrong")


def test_the_worst_case_is_set_aside_and_the_true_cost_booked() -> None:
    ledger = Ledger(LimitSettings(max_cost_usd=1.0), Clock())
    wish = Wish(tokens=1, cost_usd=0.4)
    grant = ledger.exchange(Ask(wishes=(wish,) * 5))
    assert len(grant.permits) == 2
    assert grant.wait_s > 0  # until it is known what the two cost
    assert not grant.stop
    settled = tuple(Settlement(permit=permit, tokens=1, cost_usd=0.1) for permit in grant.permits)
    grant = ledger.exchange(Ask(wishes=(wish,) * 5, settled=settled))
    assert len(grant.permits) == 2  # 0.2 spent, 0.8 set aside
    settled = tuple(Settlement(permit=permit, tokens=1, cost_usd=0.4) for permit in grant.permits)
    grant = ledger.exchange(Ask(wishes=(wish,), settled=settled))
    assert grant.permits == ()
    assert grant.stop.startswith("the next request could exceed max_cost_usd (1): $1.0000 are spent")


def test_a_settlement_that_comes_twice_counts_once() -> None:
    ledger = Ledger(LimitSettings(max_cost_usd=10.0), Clock())
    (permit,) = ledger.exchange(Ask(wishes=(Wish(tokens=1, cost_usd=1.0),))).permits
    settlement = Settlement(permit=permit, tokens=1, cost_usd=0.5)
    ledger.exchange(Ask(settled=(settlement, settlement)))
    assert (ledger.budget.spent_usd, ledger.budget.reserved_usd) == (0.5, 0.0)


def test_what_a_dead_process_had_set_aside_is_booked_at_its_worst_in_the_end() -> None:
    clock = Clock()
    ledger = Ledger(LimitSettings(max_cost_usd=1.0, hold_s=60.0), clock)
    wish = Wish(tokens=1, cost_usd=0.6)
    assert len(ledger.exchange(Ask(wishes=(wish,))).permits) == 1
    assert not ledger.exchange(Ask(wishes=(wish,))).stop
    clock.now += 61
    assert "$0.6000 are spent" in ledger.exchange(Ask(wishes=(wish,))).stop


@given(st.integers(0, 2**32), st.floats(0.01, 5))
def test_the_limit_holds_whatever_is_in_flight_and_dies(seed: int, limit: float) -> None:
    draw, budget, in_flight, true_cost = random.Random(seed), Budget(limit), [], 0.0
    for _ in range(200):
        worst = draw.uniform(0, 0.5)
        if draw.random() < 0.5 and budget.fits(worst):
            budget.reserve(worst)
            cost = draw.uniform(0, worst)
            true_cost += cost  # the server counts it at once, whether the process lives to settle it or not
            in_flight.append((worst, cost))
        elif in_flight and draw.random() < 0.8:
            budget.settle(*in_flight.pop(draw.randrange(len(in_flight))))
    assert true_cost <= limit + 1e-9
