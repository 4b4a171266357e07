from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
import pytest

from raycalib.judging.failures import FailureKind, kind_of_status, without_secret
from raycalib.judging.rate_headers import Allowance, RateNote, read_rate_headers
from raycalib.judging.retrying import backoff_s, duration_s, retry_after_s

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0), ("0", 0.0), ("0.25", 0.25), (" 7 ", 7.0), ("-5", 0.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0), ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 12:01:00 -0000", 60.0), ("24 Nov 2026 13:00:05 +0100", 5.0),
        ("2s", 2.0), ("1m0.5s", 60.5),
        (None, None), ("", None), ("soon", None), ("nan", None), ("inf", None), ("Tue, 99 Nov", None),
    ],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1.0), ("6m0s", 360.0), ("120ms", 0.12), ("1h2m3.5s", 3723.5), ("1d", 86400.0), ("2", 2.0), ("0.5", 0.5),
     ("", None), (None, None), ("1s later", None), ("m", None), ("-1s", None)],
)  # fmt: skip
def test_durations(text: str | None, seconds: float | None) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1795521602", 2.0), ("1795521602.5", 2.5), ("1795521602000", 2.0), ("2026-11-24T12:00:02Z", 2.0),
        ("2026-11-24T13:00:02+01:00", 2.0), ("2026-11-24 12:00:02", 2.0), ("1795521598", 0.0), ("2m59.56s", 179.56),
        ("99999", 99999.0), ("9" * 400, None), ("2026-99-24T12:00:02Z", None),
    ],
)  # fmt: skip
def test_a_reset_may_be_a_moment(text: str, seconds: float | None) -> None:
    assert NOW.timestamp() == 1795521600
    assert duration_s(text, NOW) == (None if seconds is None else pytest.approx(seconds))


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_doubles_within_its_bounds(n: int, draw: float) -> None:
    ceiling = min(30.0, 0.5 * 2.0 ** min(n - 1, 20))
    assert ceiling / 2 <= backoff_s(n, draw) <= ceiling


@given(st.floats(0, 3600), st.floats(0, 1, exclude_max=True))
def test_what_the_server_asks_for_is_never_cut_short(asked: float, draw: float) -> None:
    assert asked <= backoff_s(2, draw, asked) <= asked + min(1.0, asked / 4)
    assert asked <= backoff_s(5, draw, asked) <= max(2.0, asked + min(1.0, asked / 4))


def test_headers_of_limits() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m2s",
        "x-ratelimit-limit-tokens": "many",
        "x-ratelimit-remaining-tokens": "10",
    }
    note = read_rate_headers(headers)
    assert note == RateNote(
        requests=Allowance(limit=500, remaining=0, reset_s=62.0), tokens=Allowance(limit=None, remaining=10)
    )
    assert (note.requests.pause_s, note.tokens.pause_s) == (62.0, 0.0)
    assert not read_rate_headers({})
    assert read_rate_headers({"x-ratelimit-limit-requests": "0"}).requests.limit is None


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, None, "fatal"), (401, None, "fatal"), (403, None, "fatal"), (404, "model_not_found", "fatal"),
        (301, None, "fatal"), (422, None, "fatal"), (400, "content_filter", "row"), (413, None, "row"),
        (429, "rate_limit_exceeded", "busy"), (429, "insufficient_quota", "fatal"), (408, None, "fault"),
        (409, None, "fault"), (500, None, "fault"), (502, None, "fault"), (503, None, "fault"), (529, None, "fault"),
    ],
)  # fmt: skip
def test_statuses(status: int, code: str | None, kind: str) -> None:
    assert kind_of_status(status, code) is FailureKind(kind)


def test_no_secret_is_left_in_a_message() -> None:
    message = without_secret("Wrong key sk-abc\n(Authorization: Bearer sk-abc), bearer other", "sk-abc")
    assert message == "Wrong key <key> (Authorization: Bearer <key> Bearer <key>"
    assert len(without_secret("x" * 1000, "")) == 300
