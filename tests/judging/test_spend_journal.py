import pickle

import pytest

from raycalib.errors import StorageError
from raycalib.judging.budget import Budget
from raycalib.judging.spend_journal import NAME, SpendJournal
from raycalib.storage import Location


def test_a_kill_leaves_what_is_in_flight_at_its_worst_and_an_end_what_was_spent(tmp_path) -> None:
    place, budget = Location(str(tmp_path)), Budget(10.0)
    journal: SpendJournal = pickle.loads(pickle.dumps(SpendJournal(place)))
    assert journal.spent_usd() == 0
    budget.reserve(2.0)
    budget.settle(1.0, 0.5)
    journal.keep(budget)
    assert SpendJournal(place).spent_usd() == 1.5  # half a dollar spent, one in flight
    budget.settle(1.0, 0.25)
    journal.close(budget)
    assert SpendJournal(place).spent_usd() == 0.75


@pytest.mark.parametrize("text", ["{}", "[]", '{"spent_usd": "much"}', "{"])
def test_nothing_is_spent_on_a_guess(tmp_path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(StorageError, match=NAME):
        SpendJournal(Location(str(tmp_path))).spent_usd()
