"""How long to wait before a request is made again."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
import math
import re

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
JITTER = 0.25
DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
FIRST_MOMENT = 1_000_000_000.0
"""A number above it is no wait, of thirty years, but a moment, in seconds since 1970."""

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def backoff_s(n_failures: int, draw: float, asked_s: float | None = None) -> float:
    """Seconds to wait after so many failures of one row.

    Doubles from half a second up to 30 s; half of it is drawn, so that rows that failed together do not come back
    together. A wait that the server asked for is kept in full, with up to a quarter (at most a second) on top; from the
    third failure on it is at least what two failures fewer would wait, since servers also ask for 0 s.

    Args:
        n_failures: from 1.
        draw: uniform in [0, 1).
        asked_s: what Retry-After said.

    >>> backoff_s(1, 0.0), backoff_s(3, 0.0), backoff_s(100, 0.0), backoff_s(1, 0.5, asked_s=2.0)
    (0.25, 1.0, 15.0, 2.25)
    >>> backoff_s(1, 0.0, asked_s=0.0), backoff_s(4, 0.0, asked_s=0.0)
    (0.0, 0.5)
    """
    if asked_s is not None:
        least = backoff_s(n_failures - 2, draw) if n_failures > 2 else 0.0
        return max(least, asked_s + draw * min(1.0, JITTER * asked_s))
    ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(n_failures - 1, 16))
    return ceiling * (1 + draw) / 2


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for: a number, a date of HTTP or, as some servers write, a duration; None
    where it says none of them.

    Args:
        value: of the header.
        now: for tests; the time in UTC by default.

    >>> retry_after_s("1.5"), retry_after_s("2s"), retry_after_s("soon"), retry_after_s(None)
    (1.5, 2.0, None, None)
    >>> retry_after_s("Wed, 21 Oct 2026 07:28:10 GMT", datetime(2026, 10, 21, 7, 28, tzinfo=UTC))
    10.0
    """
    text = (value or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        parts = _parts_s(text)
        seconds = _until(text, now or datetime.now(UTC)) if parts is None else parts
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(text: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return math.nan
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


def duration_s(text: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a reset header: ``1s``, ``6m0s``, ``120ms``, a plain number, or the moment of the reset as seconds or
    milliseconds since 1970 or as an ISO date; None where it is none of them.

    Args:
        text: of the header.
        now: for tests; the time in UTC by default.

    >>> duration_s("6m0.5s"), duration_s("120ms"), duration_s("3"), duration_s("later")
    (360.5, 0.12, 3.0, None)
    >>> moment = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    >>> duration_s("1792567690", moment), duration_s("2026-10-21T07:28:10Z", moment)
    (10.0, 10.0)
    """
    text, now = (text or "").strip(), now or datetime.now(UTC)
    parts = _parts_s(text)
    if parts is not None:
        return parts
    if re.fullmatch(r"\d{1,16}(\.\d{1,9})?", text):
        seconds = float(text)
        since_1970 = seconds / 1000 if seconds >= FIRST_MOMENT * 1000 else seconds
        return max(0.0, since_1970 - now.timestamp()) if since_1970 >= FIRST_MOMENT else seconds
    try:
        moment = datetime.fromisoformat(text)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError):
        return None


def _parts_s(text: str) -> float | None:
    """Seconds of ``6m0s``."""
    parts = DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * DURATION_UNITS_S[unit] for number, unit in parts)
    return None
