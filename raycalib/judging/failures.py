"""What can go wrong with one request, sorted by what to do about it."""

from enum import Enum
import re

MOST_SHOWN = 300


class FailureKind(Enum):
    """What a failed request means.

    Attributes:
        FATAL: every other request would fail alike: a refused key, an unknown model, a parameter the server rejects.
        ROW: this text cannot be judged: it is too long, or the server's filter refuses it.
        BUSY: too many requests; to be made again when the server says.
        FAULT: the server or the way to it failed; to be made again.
    """

    FATAL = "fatal"
    ROW = "row"
    BUSY = "busy"
    FAULT = "fault"


class RequestFailedError(Exception):
    """One request failed.

    Attributes:
        kind: what to do.
        message: the cause, without the key.
        retry_after_s: what the server asked for.
        may_be_billed: whether the server may have done the work all the same.
    """

    def __init__(
        self, kind: FailureKind, message: str, retry_after_s: float | None = None, may_be_billed: bool = False
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_s = retry_after_s
        self.may_be_billed = may_be_billed


ROW_CODES = {
    "context_length_exceeded",
    "content_filter",
    "content_policy_violation",
    "string_above_max_length",
    "invalid_prompt",
}
LASTING_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
FATAL_STATUSES = {400, 401, 403, 404, 405, 422}
ROW_STATUSES = {413}
BUSY_STATUSES = {429}


def kind_of_status(status: int, code: str | None = None) -> FailureKind:
    """What a response's status and error code mean.

    >>> kind_of_status(401), kind_of_status(429), kind_of_status(503)
    (<FailureKind.FATAL: 'fatal'>, <FailureKind.BUSY: 'busy'>, <FailureKind.FAULT: 'fault'>)
    >>> kind_of_status(400, "context_length_exceeded"), kind_of_status(429, "insufficient_quota")
    (<FailureKind.ROW: 'row'>, <FailureKind.FATAL: 'fatal'>)
    """
    if code in LASTING_CODES:
        return FailureKind.FATAL
    if code in ROW_CODES or status in ROW_STATUSES:
        return FailureKind.ROW
    if status in FATAL_STATUSES or 300 <= status < 400:
        return FailureKind.FATAL
    return FailureKind.BUSY if status in BUSY_STATUSES else FailureKind.FAULT


def without_secret(text: str, secret: str) -> str:
    """One line of at most 300 characters in which neither the secret nor anything behind ``Bearer`` is left."""
    line = " ".join(text.split())
    if secret:
        line = line.replace(secret, "<key>")
    return re.sub(r"(?i)bearer\s+\S+", "Bearer <key>", line)[:MOST_SHOWN]
