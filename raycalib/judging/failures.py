"""What can go wrong with one request, sorted by what to do about it."""

from enum import Enum
import re

from raycalib.judging.rate_headers import RateNote
from raycalib.secrets import hide_message

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
        note: what its headers say of limits.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        retry_after_s: float | None = None,
        may_be_billed: bool = False,
        note: RateNote | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_s = retry_after_s
        self.may_be_billed = may_be_billed
        self.note = note or RateNote()


ROW_CODES = {
    "context_length_exceeded",
    "content_filter",
    "content_policy_violation",
    "string_above_max_length",
    "invalid_prompt",
}
ROW_TEXT = re.compile(r"context (length|window|size)|too long|prompt tokens|maximum input length", re.IGNORECASE)
"""What servers that send no code say of a text that they cannot read: vLLM, llama.cpp, TGI."""

LASTING_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
ROW_STATUSES = {413}
UNREADABLE_STATUSES = {400, 422}
BUSY_STATUSES = {429}
PASSING_STATUSES = {408, 409, 425}
"""Of those that blame the request, the ones that pass: a timeout, a conflict, too early."""


def kind_of_status(status: int, code: object = None, message: str = "") -> FailureKind:
    """What a response's status, error code and message mean.

    >>> kind_of_status(401), kind_of_status(429), kind_of_status(503)
    (<FailureKind.FATAL: 'fatal'>, <FailureKind.BUSY: 'busy'>, <FailureKind.FAULT: 'fault'>)
    >>> kind_of_status(402), kind_of_status(408)
    (<FailureKind.FATAL: 'fatal'>, <FailureKind.FAULT: 'fault'>)
    >>> kind_of_status(400, "context_length_exceeded"), kind_of_status(429, "insufficient_quota")
    (<FailureKind.ROW: 'row'>, <FailureKind.FATAL: 'fatal'>)
    >>> kind_of_status(500, {"reason": "busy"}), kind_of_status(401, ["auth"])
    (<FailureKind.FAULT: 'fault'>, <FailureKind.FATAL: 'fatal'>)
    >>> kind_of_status(400, 400, "This model's maximum context length is 4096 tokens.")
    <FailureKind.ROW: 'row'>
    """
    code = code if isinstance(code, str) else None  # some servers send a number, or an object
    if code in LASTING_CODES:
        return FailureKind.FATAL
    if code in ROW_CODES or status in ROW_STATUSES or (status in UNREADABLE_STATUSES and ROW_TEXT.search(message)):
        return FailureKind.ROW
    if status in BUSY_STATUSES:
        return FailureKind.BUSY
    return FailureKind.FATAL if 300 <= status < 500 and status not in PASSING_STATUSES else FailureKind.FAULT


def without_secret(text: str, secret: str) -> str:
    """One line of at most 300 characters in which neither the secret nor anything behind ``Bearer`` is left."""
    line = hide_message(" ".join(text.split()))
    if secret:
        line = line.replace(secret, "<key>")
    return re.sub(r"(?i)bearer\s+\S+", "Bearer <key>", line)[:MOST_SHOWN]
