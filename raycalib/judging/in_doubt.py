"""Rows without a verdict while it is not known whether the judge gives any: kept for good only once it is."""

from collections.abc import Iterable
from dataclasses import replace

from raycalib.judging.chat import Reply
from raycalib.judging.outcome import Outcome
from raycalib.judging.reply_cache import ReplyCache


class InDoubt:
    """If the asking ends before the first verdict, these rows are to be asked again, like those that were not asked:
    a server that was set up wrongly, and is mended, would otherwise leave them unscored for ever.
    """

    def __init__(self, cache: ReplyCache) -> None:
        self.cache = cache
        self.is_over = False
        self._held: dict[str, tuple[Outcome, Reply | None]] = {}

    def outcome(self, key: str) -> Outcome | None:
        """What came of a row, if it is held."""
        return self._held[key][0] if key in self._held else None

    def take(self, key: str, outcome: Outcome, reply: Reply | None = None) -> bool:
        """Holds a row, with its reply where there is one; False once the judge gave a verdict."""
        if not self.is_over:
            self._held[key] = (outcome, reply)
        return not self.is_over

    def end(self) -> bool:
        """The judge gave a verdict: what is held is kept; whether this was the first."""
        is_first, self.is_over = not self.is_over, True
        if is_first:
            self._keep(self._held)
            self._held = {}
        return is_first

    def settle(self, keys: Iterable[str], stop_reason: str) -> dict[str, Outcome]:
        """The asking of these rows has ended: outcomes of those held, by key."""
        held = [key for key in keys if key in self._held]
        if not stop_reason:
            self._keep(held)
            return {}
        return {
            key: replace(outcome, text=None, reason=outcome.reason or stop_reason, retryable=True)
            for key in held
            for outcome in [self._held[key][0]]
        }

    def _keep(self, keys: Iterable[str]) -> None:
        for key in keys:
            reply = self._held[key][1]
            if reply is not None:
                self.cache.put(key, reply)
