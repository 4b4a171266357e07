import json
import pickle
import random

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from raycalib.errors import StorageError
from raycalib.judging import spend_journal
from raycalib.judging.ledger import Ask, Grant, Ledger, LimitSettings, Settlement, Wish
from raycalib.judging.spend_journal import DIRECTORY, OLD_NAME, SpendJournal
from raycalib.storage import Location
from tests.judging.test_rate_limit import Clock


def others(place: Location) -> float:
    """What a run that starts now is told."""
    return SpendJournal(place).others_usd


def run_in(place: Location, limit: float | None = 10.0) -> tuple[Ledger, SpendJournal]:
    """A run's ledger with its journal, as the actor has them."""
    journal: SpendJournal = pickle.loads(pickle.dumps(SpendJournal(place)))
    return Ledger(LimitSettings(max_cost_usd=limit), Clock(), journal), journal


def wish(ledger: Ledger, cost: float, n: int = 1) -> Grant:
    return ledger.exchange(Ask(wishes=(Wish(tokens=1, cost_usd=cost),) * n, verdict=True))


def settle(ledger: Ledger, permit: int, cost: float) -> None:
    ledger.exchange(Ask(settled=(Settlement(permit=permit, tokens=1, cost_usd=cost),)))


def test_money_is_written_down_before_a_permit_is_given(tmp_path) -> None:
    """So that no moment of a kill leaves less than what was spent."""
    place = Location(str(tmp_path))
    ledger, journal = run_in(place)
    assert others(place) == 0
    for n in range(1, 6):
        wish(ledger, 1.0)
        assert n <= others(place) <= 10.0  # killed here
    journal.close(ledger.budget)


def test_a_run_that_is_interrupted_keeps_what_is_in_flight_at_its_worst(tmp_path) -> None:
    place = Location(str(tmp_path))
    ledger, journal = run_in(place)
    first, _second = wish(ledger, 2.0, n=2).permits
    settle(ledger, first, 0.5)
    journal.close(ledger.budget)
    assert others(place) == 2.5


def test_a_run_that_ends_has_what_was_spent_and_no_more(tmp_path) -> None:
    place = Location(str(tmp_path))
    for cost in (0.25, 0.5):
        ledger, journal = run_in(place)
        (permit,) = wish(ledger, 1.0).permits
        settle(ledger, permit, cost)
        journal.close(ledger.budget)
    assert others(place) == 0.75
    assert len(list((tmp_path / DIRECTORY).iterdir())) == 2


def test_runs_at_the_same_time_add_up_and_keep_the_limit_together(tmp_path) -> None:
    place = Location(str(tmp_path))
    (one, of_one), (two, of_two) = run_in(place), run_in(place)
    granted = 0
    for _ in range(20):
        for ledger in (one, two):
            for permit in wish(ledger, 1.0).permits:
                settle(ledger, permit, 1.0)
                granted += 1
    assert 5 <= granted <= 10
    assert "by other runs into this directory" in one.stop + two.stop
    of_one.close(one.budget)
    of_two.close(two.budget)
    assert others(place) == granted


def test_what_another_run_took_a_moment_ago_is_seen(tmp_path) -> None:
    """Before a permit is given, and not only once a second."""
    place = Location(str(tmp_path))
    (one, of_one), (two, _) = run_in(place), run_in(place)
    assert of_one.others_usd == 0
    assert len(wish(two, 9.0).permits) == 1
    assert not wish(one, 5.0).permits


def test_the_one_file_of_earlier_versions_counts_and_is_left_as_it_is(tmp_path) -> None:
    (tmp_path / OLD_NAME).write_text('{"spent_usd": 9.5}')
    place = Location(str(tmp_path))
    ledger, journal = run_in(place)
    assert not wish(ledger, 1.0).permits
    assert "$9.5000 are spent" in ledger.stop
    journal.close(ledger.budget)
    assert json.loads((tmp_path / OLD_NAME).read_text()) == {"spent_usd": 9.5}


def test_requests_that_all_cost_nothing_leave_nothing(tmp_path) -> None:
    """Not even what rounding leaves of a sum that is 0."""
    place = Location(str(tmp_path))
    ledger, journal = run_in(place)
    for permit in wish(ledger, 0.0000337, n=60).permits:
        settle(ledger, permit, 0.0)
    journal.close(ledger.budget)
    assert others(place) == 0.0


def test_what_costs_nothing_writes_nothing(tmp_path) -> None:
    ledger, journal = run_in(Location(str(tmp_path)))
    wish(ledger, 0.0, n=100)
    journal.keep(ledger.budget)
    journal.close(ledger.budget)
    assert not list(tmp_path.iterdir())


def test_not_every_request_writes_a_file(tmp_path, monkeypatch) -> None:
    written = []
    monkeypatch.setattr(Location, "write_json", lambda self, name, value: written.append(value))
    ledger, _ = run_in(Location(str(tmp_path)), limit=None)
    wish(ledger, 0.001, n=1000)
    assert len(written) < 100


def test_more_than_the_worst_case_is_written_at_once(tmp_path) -> None:
    place = Location(str(tmp_path))
    ledger, journal = run_in(place, limit=None)
    (permit,) = wish(ledger, 1.0).permits
    settle(ledger, permit, 50.0)  # the server's count
    journal.keep(ledger.budget)
    assert others(place) == 50.0


@pytest.mark.parametrize("name", [OLD_NAME, f"{DIRECTORY}/one.json"])
@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"spent_usd": "much"}', "{", '{"spent_usd": NaN}', '{"spent_usd": -1}', '{"spent_usd": true}']
)
def test_nothing_is_spent_on_a_guess(tmp_path, text: str, name: str) -> None:
    (tmp_path / DIRECTORY).mkdir()
    (tmp_path / name).write_text(text)
    with pytest.raises(StorageError, match=r"json is not readable .*write .*spent_usd"):
        SpendJournal(Location(str(tmp_path))).check()


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32))
def test_whatever_is_killed_and_when_no_record_is_too_low_and_the_limit_holds(seed: int) -> None:
    draw, place, spent = random.Random(seed), Location(f"memory://spend-{seed}"), 0.0
    monkey = pytest.MonkeyPatch()
    monkey.setattr(spend_journal, "EVERY_S", 0.0)  # every change is written
    try:
        for _ in range(4):
            runs = [run_in(place, limit=3.0) for _ in range(draw.randint(1, 2))]
            for _ in range(draw.randint(1, 12)):
                ledger, journal = draw.choice(runs)
                for permit in wish(ledger, draw.uniform(0, 0.3)).permits:
                    worst = ledger._open[permit].wish.cost_usd
                    cost = draw.uniform(0, worst)
                    spent += cost  # the server counts it, whether the run lives to hear of it or not
                    if draw.random() < 0.7:
                        settle(ledger, permit, cost)
                journal.keep(ledger.budget)
                assert spent <= others(place) + 1e-9
                assert spent <= 3.0 + 1e-9
            for ledger, journal in runs:
                if draw.random() < 0.5:
                    journal.close(ledger.budget)
            assert spent <= others(place) + 1e-9
    finally:
        monkey.undo()
