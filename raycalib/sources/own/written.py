"""Numbers, dates and durations as one writes them."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
import math

Writable = int | float | Decimal | date | time | timedelta
"""What has one plain way to be written; a truth value has not, though Python counts it among the whole numbers."""


def written(value: Writable, whole: bool = False) -> str:
    """The value in its shortest form that reads back: no zeros behind a fraction, ISO dates, ``[days, ]H:MM:SS``.

    >>> [written(value) for value in (7, 0.1, 1e16, Decimal("1.50"), Decimal("1E+2"), timedelta(minutes=-90))]
    ['7', '0.1', '1e+16', '1.5', '100', '-1:30:00']
    >>> written(datetime(2020, 1, 31, 12, 30)), written(datetime(2020, 1, 31), whole=True), written(4.0, whole=True)
    ('2020-01-31 12:30:00', '2020-01-31', '4')

    Args:
        value: no NaN.
        whole: of a column whose fractional numbers are all whole, or whose times are all midnight.
    """
    if isinstance(value, float):
        return str(int(value)) if whole and value.is_integer() else repr(float(value))
    if isinstance(value, Decimal):
        text = f"{value:f}"  # normalize() would round to 28 digits
        return (text.rstrip("0").rstrip(".") if "." in text else text) if value else "0"
    if isinstance(value, datetime):
        return value.date().isoformat() if whole and is_whole(value) else value.isoformat(sep=" ")
    if isinstance(value, timedelta):
        plain = timedelta(days=value.days, seconds=value.seconds, microseconds=value.microseconds)
        return f"-{-plain}" if plain < timedelta(0) else str(plain)
    return value.isoformat() if isinstance(value, date | time) else str(value)


def is_whole(value: float | datetime) -> bool:
    """Whether a fractional number is whole, or a time midnight."""
    if isinstance(value, datetime):
        return value.time() == time(0)
    return value.is_integer()


def is_finite(value: Writable) -> bool:
    """Whether the value is no infinite number."""
    return not isinstance(value, float | Decimal) or not math.isinf(value)
