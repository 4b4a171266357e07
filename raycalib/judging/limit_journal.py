"""What a run used of the last minute's limits, kept for the next: a driver that is killed and started again would
otherwise begin with a fresh minute, and the server would count more than was allowed.

One small file per server beside the cache, written about once a second while limits are set. Two runs at the same time
do not see each other through it.
"""

import time

from raycalib.errors import RaycalibError
from raycalib.hashing import stable_hash
from raycalib.judging.ledger import Ledger
from raycalib.storage import Location

EVERY_S = 1.0


class LimitJournal:
    """The journal of one server."""

    def __init__(self, place: Location, server: str) -> None:
        """Plain data, so that it pickles to the actor that keeps it; writes nothing."""
        self.place = place / "limits"
        self.name = f"{stable_hash(server)}.json"
        self._written = 0.0

    def open(self, ledger: Ledger) -> None:
        """Counts what the last run used; one that cannot be read counts for nothing."""
        if not (ledger.settings.requests or ledger.settings.tokens):
            return
        try:
            if not self.place.exists(self.name):
                return
            found = self.place.read_json(self.name)
            age_s = max(0.0, time.time() - float(found["time"]))
            left = {name: [[float(a), float(b)] for a, b in found[name]] for name in ("requests", "tokens")}
            is_recent = age_s < ledger.settings.window_s + ledger.settings.lease_s + ledger.settings.way_s
            if is_recent:
                ledger.restore(left, age_s, 0.0 if found["closed"] else 2 * EVERY_S)
        except (RaycalibError, KeyError, TypeError, ValueError):
            return

    def keep(self, ledger: Ledger) -> None:
        """Writes, if that was not done within the last second and there is a limit."""
        now = time.monotonic()
        if now - self._written >= EVERY_S and (ledger.settings.requests or ledger.settings.tokens):
            self._written = now
            self._write(ledger, closed=False)

    def close(self, ledger: Ledger) -> None:
        """Writes for the last time."""
        if self._written:
            self._write(ledger, closed=True)

    def _write(self, ledger: Ledger, closed: bool) -> None:
        try:
            self.place.write_json(self.name, {"time": time.time(), "closed": closed, **ledger.left()})
        except RaycalibError:
            return  # a journal that cannot be written must not stop the asking
