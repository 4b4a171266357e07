"""What judging into a directory has cost, kept for the runs that follow: a limit on money holds over kills, reruns and
runs at the same time.

One small file per run, written by that run alone. It is raised before money is spent, so that it is never too low,
whenever the run is killed; one that was killed holds what was in flight at its worst, and a little more.
"""

from datetime import UTC, datetime
import math
import time
from typing import Any
from uuid import uuid4

from raycalib.errors import DataError, StorageError
from raycalib.judging.budget import Budget
from raycalib.storage import Location

DIRECTORY = "judge_spend"
OLD_NAME = "judge_spend.json"
"""One sum of all runs, as it was once kept; read, and never written."""

EVERY_S = 1.0
AHEAD_SHARE = 0.01
AHEAD_REQUESTS = 16
"""A record is raised by more than the next request may cost, so that not each request writes a file."""


class SpendJournal:
    """The record of one run, and what those of the others say; a ``Purse``."""

    def __init__(self, out: Location) -> None:
        """Plain data, so that it pickles to the actor that keeps it; reads and writes nothing."""
        self.out, self.place = out, out / DIRECTORY
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.name = f"{self.started[:19].replace(':', '')}-{uuid4().hex[:12]}.json"
        self._most_usd = self._spent_usd = self._others_usd = 0.0
        self._read_at = self._written_at = -math.inf
        self._closed: dict[str, float] = {}

    @property
    def others_usd(self) -> float:
        """What other runs have spent, read at most a second ago; those under way or killed count at their worst."""
        if time.monotonic() - self._read_at >= EVERY_S:
            self._read_others()
        return self._others_usd

    def check(self) -> None:
        """Reads all records.

        Raises:
            StorageError: one cannot be used; nothing is spent on a guess.
        """
        self._read_others()

    def cover(self, spent_usd: float, most_usd: float, worst_usd: float, limit_usd: float | None) -> bool:
        """See ``Purse.cover``; a record that is too low is raised first, and then the others' are read.

        Of two runs that raise theirs at the same time, at least one sees the other's.
        """
        if most_usd <= self._most_usd:
            return True
        ahead = max(AHEAD_REQUESTS * worst_usd, AHEAD_SHARE * most_usd)
        room = math.inf if limit_usd is None else limit_usd - self.others_usd
        before = self._most_usd
        self._write(spent_usd, max(most_usd, min(most_usd + ahead, room)))
        if limit_usd is None:
            return True
        self._read_others()
        if self._others_usd + self._most_usd <= limit_usd:
            return True
        self._write(spent_usd, most_usd)  # without what is ahead
        if self._others_usd + most_usd <= limit_usd:
            return True
        self._write(spent_usd, max(before, spent_usd))
        return False

    def keep(self, budget: Budget) -> None:
        """Writes what was spent and what is in flight, about once a second where that changed, and at once where it is
        more than was written: a server may count more than the worst case.
        """
        most_usd = budget.spent_usd + budget.reserved_usd
        is_due = budget.spent_usd != self._spent_usd and time.monotonic() - self._written_at >= EVERY_S
        if is_due or most_usd > self._most_usd:
            self._write(budget.spent_usd, most_usd)

    def close(self, budget: Budget) -> None:
        """Writes what was spent; what is in flight still is booked at its worst."""
        budget.book_all()
        if budget.spent_usd or self._most_usd:
            self._write(budget.spent_usd, budget.spent_usd, closed=True)

    def _write(self, spent_usd: float, most_usd: float, closed: bool = False) -> None:
        record = {"started": self.started, "spent_usd": spent_usd, "most_usd": most_usd, "closed": closed}
        self.place.write_json(self.name, record)
        self._spent_usd, self._most_usd, self._written_at = spent_usd, most_usd, time.monotonic()

    def _read_others(self) -> None:
        total = self._record(self.out, OLD_NAME) if self.out.exists(OLD_NAME) else 0.0
        for name in self.place.names():
            if name.endswith(".json") and not name.startswith(".") and name != self.name:
                total += self._closed[name] if name in self._closed else self._record(self.place, name)
        self._others_usd, self._read_at = total, time.monotonic()

    def _record(self, place: Location, name: str) -> float:
        """What one record says was spent at most."""
        try:
            found: dict[str, Any] = place.read_json(name)
            usd = float(found.get("most_usd", found["spent_usd"]))
            if isinstance(found["spent_usd"], bool) or not 0 <= usd < math.inf:
                raise ValueError(f"{usd} is no cost")
        except (DataError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(
                f"{(place / name).uri} is not readable ({error!r}): it says what judging has cost so far; write "
                '{"spent_usd": 0} into it to count from nothing'
            ) from error
        if found.get("closed"):
            self._closed[name] = usd
        return usd
