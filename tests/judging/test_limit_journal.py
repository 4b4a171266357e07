import json
from pathlib import Path
import time

import pytest

from raycalib.judging.ledger import Ask, Ledger, LimitSettings, Wish
from raycalib.judging.limit_journal import LimitJournal
from raycalib.storage import Location

SETTINGS = LimitSettings(requests=100)
WISH = Wish(tokens=10, cost_usd=0.0)
SERVER = "http://127.0.0.1/v1"


def used_ledger(n: int) -> Ledger:
    ledger = Ledger(SETTINGS)
    for _ in range(n):
        ledger._requests.take(1)
    return ledger


def counted(place: Path, age_s: float = 0.0) -> float:
    """Requests that a new run counts as used."""
    path = next((place / "limits").iterdir())
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"time": values["time"] - age_s}))
    ledger = Ledger(SETTINGS)
    LimitJournal(Location(str(place)), SERVER).open(ledger)
    return sum(amount for _, amount in ledger.left()["requests"])


def test_a_run_that_ended_leaves_exactly_what_it_used(tmp_path: Path) -> None:
    journal = LimitJournal(Location(str(tmp_path)), SERVER)
    ledger = used_ledger(30)
    journal.keep(ledger)
    journal.close(ledger)
    assert counted(tmp_path) == 30
    assert counted(tmp_path, age_s=70) == 0


def test_a_run_that_was_killed_may_have_used_more(tmp_path: Path) -> None:
    LimitJournal(Location(str(tmp_path)), SERVER).keep(used_ledger(30))
    assert counted(tmp_path) == pytest.approx(30 + 5 + 2 * 100 / 62)  # the bucket, and two seconds at the full rate


def test_what_is_free_again_is_not_counted(tmp_path: Path) -> None:
    journal = LimitJournal(Location(str(tmp_path)), SERVER)
    ledger = Ledger(SETTINGS)
    ledger._requests.restore([[10.0, 4.0], [50.0, 3.0]], 0.0, 0.0)
    journal.keep(ledger)
    journal.close(ledger)
    assert counted(tmp_path, age_s=20) == 3


@pytest.mark.parametrize("content", [b"", b"[]", b'{"time": 1}', b'{"time": "x", "closed": true}', b"\xff"])
def test_a_broken_journal_is_passed_over(tmp_path: Path, content: bytes) -> None:
    journal = LimitJournal(Location(str(tmp_path)), SERVER)
    journal.place.write_bytes(journal.name, content)
    ledger = Ledger(SETTINGS)
    journal.open(ledger)
    assert ledger.exchange(Ask(wishes=(WISH,))).permits == (1,)


def test_without_limits_nothing_is_written(tmp_path: Path) -> None:
    journal = LimitJournal(Location(str(tmp_path)), SERVER)
    ledger = Ledger(LimitSettings())
    journal.open(ledger)
    journal.keep(ledger)
    journal.close(ledger)
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    journal, writes = LimitJournal(Location(str(tmp_path)), SERVER), []
    monkeypatch.setattr(LimitJournal, "_write", lambda self, ledger, closed: writes.append(closed))
    ledger = Ledger(SETTINGS, clock=lambda: clock)
    for _ in range(30):
        journal.keep(ledger)
        clock += 0.1
    assert len(writes) == 3
