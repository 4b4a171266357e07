"""How long to wait before a request is made again."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
import math
import re

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
JITTER = 0.25
DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
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
    """Seconds that a Retry-After header asks for: a number, or a date of HTTP; None where it says neither.

    Args:
        value: of the header.
        now: for tests; the time in UTC by default.

    >>> retry_after_s("1.5"), retry_after_s("soon"), retry_after_s(None)
    (1.5, None, None)
    >>> retry_after_s("Wed, 21 Oct 2026 07:28:10 GMT", datetime(2026, 10, 21, 7, 28, tzinfo=UTC))
    10.0
    """
    text = (value or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text, now or datetime.now(UTC))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(text: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return math.nan
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


def duration_s(text: str | None) -> float | None:
    """Seconds of a reset header: ``1s``, ``6m0s``, ``120ms``, or a plain number; None where it is neither.

    >>> duration_s("6m0.5s"), duration_s("120ms"), duration_s("3"), duration_s("later")
    (360.5, 0.12, 3.0, None)
    """
    text = (text or "").strip()
    parts = DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * DURATION_UNITS_S[unit] for number, unit in parts)
    return retry_after_s(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None
