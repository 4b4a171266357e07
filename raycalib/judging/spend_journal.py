"""What a run's directory has cost so far, kept for the runs that follow: a limit on money holds over kills and reruns.

One small file, written about once a second while money is spent. Until a run ends it holds what is in flight at its
worst, so that a kill makes it too high and never too low, but for what was begun in the last second.
"""

import time

from raycalib.errors import DataError, StorageError
from raycalib.judging.budget import Budget
from raycalib.storage import Location

NAME = "judge_spend.json"
EVERY_S = 1.0


class SpendJournal:
    """The journal of one directory."""

    def __init__(self, place: Location) -> None:
        """Plain data, so that it pickles to the actor that keeps it; reads and writes nothing."""
        self.place = place
        self._written_at, self._written_usd = 0.0, 0.0

    def spent_usd(self) -> float:
        """Of all runs so far.

        Raises:
            StorageError: the file cannot be used; nothing is spent on a guess.
        """
        if not self.place.exists(NAME):
            return 0.0
        try:
            return max(0.0, float(self.place.read_json(NAME)["spent_usd"]))
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise StorageError(
                f"{(self.place / NAME).uri} is not readable ({error!r}): it says what judging has cost so far; write "
                '{"spent_usd": 0} into it to count from nothing'
            ) from error

    def keep(self, budget: Budget) -> None:
        """Writes what was spent and what is in flight, if it changed and the last time is a second ago."""
        now, most_usd = time.monotonic(), budget.spent_usd + budget.reserved_usd
        if most_usd != self._written_usd and now - self._written_at >= EVERY_S:
            self._write(most_usd)
            self._written_at = now

    def close(self, budget: Budget) -> None:
        """Writes what was spent."""
        if budget.spent_usd != self._written_usd:
            self._write(budget.spent_usd)

    def _write(self, usd: float) -> None:
        self.place.write_json(NAME, {"spent_usd": usd})
        self._written_usd = usd
