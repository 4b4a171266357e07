"""What a server says about its limits in the headers of each response."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from raycalib.judging.retrying import duration_s


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """One limit of the server, per minute by convention; None where a header is missing or cannot be read.

    Attributes:
        limit: in a minute.
        remaining: of it.
        reset_s: seconds until all of it is there again.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None

    @property
    def pause_s(self) -> float:
        """Seconds in which nothing should be asked, since nothing remains."""
        return self.reset_s or 0.0 if self.remaining == 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class RateNote:
    """The server's limits of requests and of tokens."""

    requests: Allowance = field(default_factory=Allowance)
    tokens: Allowance = field(default_factory=Allowance)

    def __bool__(self) -> bool:
        return self != RateNote()


def read_rate_headers(headers: Mapping[str, str]) -> RateNote:
    """The ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` headers.

    >>> read_rate_headers({"x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": "1s"}).requests
    Allowance(limit=60, remaining=None, reset_s=1.0)
    """
    return RateNote(requests=_allowance(headers, "requests"), tokens=_allowance(headers, "tokens"))


def _allowance(headers: Mapping[str, str], kind: str) -> Allowance:
    limit, remaining = (_count(headers.get(f"x-ratelimit-{name}-{kind}")) for name in ("limit", "remaining"))
    return Allowance(
        limit=limit or None,  # a limit of 0 would stop everything for ever
        remaining=remaining,
        reset_s=duration_s(headers.get(f"x-ratelimit-reset-{kind}")),
    )


def _count(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
