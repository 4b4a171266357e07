"""Where a judging process gets the key and its permits from."""

from collections.abc import Callable
import time
from typing import Protocol

from raycalib.judging.ledger import Ask, Grant, Ledger, LimitSettings


class Desk(Protocol):
    """The run's one ledger, and the key, as one process reaches them."""

    async def key(self) -> str:
        """The key of the judge's server; empty where there is none."""

    async def exchange(self, ask: Ask) -> Grant:
        """See ``Ledger.exchange``."""


class DeskAddress(Protocol):
    """Plain data that pickles to a worker and leads to the desk."""

    def connect(self) -> Desk:
        """The desk, from within a worker."""


class LocalDesk:
    """A desk of one process, for one that runs alone, such as a notebook or a test."""

    def __init__(
        self, limits: LimitSettings | None = None, key: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """The key stays in this object's memory."""
        self.ledger = Ledger(limits or LimitSettings(), clock)
        self._key = key
        self.n_calls = 0

    async def key(self) -> str:
        """The key given."""
        return self._key

    async def exchange(self, ask: Ask) -> Grant:
        """See ``Ledger.exchange``."""
        self.n_calls += 1
        return self.ledger.exchange(ask)

    def connect(self) -> "LocalDesk":
        """This desk."""
        return self
