"""What came of asking a judge about one row, and what asking took."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from raycalib.judging.chat import Reply
from raycalib.judging.prompt_versions import Messages


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A reply, or why there is none.

    Attributes:
        text: of the reply; None where there is none.
        reason: why.
        retryable: the row was not asked, or the server failed for all rows: a later run should ask it.
        model: as the server names it; empty where it does not say.
        date: of the reply, such as 2026-11-25.
    """

    text: str | None = None
    reason: str = ""
    retryable: bool = False
    model: str = ""
    date: str = ""


def replied(reply: Reply) -> Outcome:
    """The outcome of a row that has a reply."""
    return Outcome(text=reply.text, model=reply.model, date=reply.date)


@dataclass
class Tally:
    """What asking took; sums of tallies are tallies.

    Attributes:
        requests: sent, those that failed among them.
        cached: replies that were known.
        retries: requests of rows that had been asked before.
        failed: requests that came to nothing.
        tokens_in, tokens_out: of the replies that were paid for now.
        cost_usd: of them; a request whose reply was lost on the way counts at its worst.
        damaged_cache_entries: that had to be asked again.
    """

    requests: int = 0
    cached: int = 0
    retries: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    damaged_cache_entries: int = 0

    def as_dict(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


class JudgeEngineObject(Protocol):
    """A judge, wherever it runs."""

    tally: Tally

    def replies(self, requests: Sequence[Messages]) -> list[Outcome]:
        """One outcome per request, in order."""
