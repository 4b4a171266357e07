"""One row that is asked about: its requests, its time, and how it may end without a reply."""

import random

from raycalib.judging.circuit import Circuit
from raycalib.judging.failures import FailureKind, RequestFailedError
from raycalib.judging.outcome import Outcome
from raycalib.judging.retrying import backoff_s
from raycalib.judging.settings import JudgeSettings
from raycalib.judging.trial import Dud


class NoReplyError(Exception):
    """One row ends without a reply.

    Attributes:
        outcome: of the row.
        dud: what the judge said in place of a verdict; None where the row or the way to the server is to blame.
    """

    def __init__(self, outcome: Outcome, dud: Dud | None = None) -> None:
        super().__init__(outcome.reason)
        self.outcome, self.dud = outcome, dud


class RowUnderway:
    """One row's requests, failures and time; waiting for permits costs no time."""

    def __init__(self, settings: JudgeSettings, circuit: Circuit) -> None:
        self.settings, self.circuit = settings, circuit
        self._successes_then: int | None = None
        self.n_requests = self.n_failures = self.n_faults = 0
        self.used_s = 0.0

    @property
    def timeout_s(self) -> float:
        """Of the next request."""
        return max(0.05, min(self.settings.timeout_s, self.settings.deadline_s - self.used_s))

    def wait_s(self, failure: RequestFailedError, seconds: float) -> float:
        """Seconds to wait after a failure that took so many seconds.

        A row that the server turned away for being busy is not to blame, and neither is one since whose first failure
        no other row has succeeded: a later run asks them, unless it was told to give up. One that failed while others
        succeeded failed by itself.

        Raises:
            NoReplyError: it has no time or no attempt left.
        """
        busy = failure.kind is FailureKind.BUSY
        if self._successes_then is None:
            self._successes_then = self.circuit.successes
        self.n_failures += 1
        self.n_faults += not busy
        self.used_s += seconds
        wait = backoff_s(self.n_failures, random.random(), failure.retry_after_s)
        if self.n_faults >= self.settings.max_attempts or self.used_s + wait >= self.settings.deadline_s:
            others_succeeded = self.circuit.successes > self._successes_then
            final = self.settings.give_up or (not busy and others_succeeded)
            reason = f"no verdict after {self.n_requests} requests in {self.used_s:.0f} s: {failure.message}"
            raise NoReplyError(Outcome(reason=reason, retryable=not final))
        self.used_s += wait
        return wait
