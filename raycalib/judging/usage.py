"""What a server says that a reply took, where it can be believed."""

from dataclasses import dataclass
from typing import Any

MOST_TOKENS = 10_000_000
"""No reply of a chat model took more: a number above it is a fault, and would end a run that has a limit on money."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one request; None where the server does not say, or says what can be no count."""

    tokens_in: int | None = None
    tokens_out: int | None = None

    def at_worst(self, tokens_in: float, tokens_out: float) -> tuple[float, float]:
        """Both counts, each one that is not known at its worst case.

        >>> Usage(tokens_in=5).at_worst(90, 8)
        (5, 8)
        """
        return (
            tokens_in if self.tokens_in is None else self.tokens_in,
            tokens_out if self.tokens_out is None else self.tokens_out,
        )


def read_usage(found: Any) -> Usage:
    """The ``usage`` of a chat completion; nothing that a server may send there raises.

    A count of 0 is none: no chat was ever read or said in 0 tokens.

    >>> read_usage({"prompt_tokens": 50, "completion_tokens": -3})
    Usage(tokens_in=50, tokens_out=None)
    >>> read_usage({"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 900})
    Usage(tokens_in=100, tokens_out=800)
    """
    if not isinstance(found, dict):
        return Usage()
    tokens_in, tokens_out = _count(found.get("prompt_tokens")), _count(found.get("completion_tokens"))
    total = _count(found.get("total_tokens"))
    if tokens_in is not None and total is not None and total > tokens_in:  # some count what was thought in it alone
        tokens_out = max(tokens_out or 0, total - tokens_in)
    return Usage(tokens_in=tokens_in, tokens_out=tokens_out)


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None
