"""What asking a judge would take, before it is asked."""

from collections.abc import Iterable
from dataclasses import dataclass

from raycalib.judging.ledger import LEASE_S, MINUTE_S, WAY_S
from raycalib.judging.prices import Price
from raycalib.judging.prompt_versions import Messages
from raycalib.judging.settings import JudgeSettings

BYTES_PER_TOKEN = 4.0
TOKENS_PER_MESSAGE = 4
TOKENS_OUT = 2
ASSUMED_LATENCY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """About what a run takes; exact only in its rows.

    Attributes:
        rows: of the answers.
        to_ask: of them, those that a judge has to be asked about.
        cached: of them, those whose reply is known.
        tokens_in: of the requests, at four bytes a token.
        tokens_out: of the replies, at two a row.
        cost_usd: None where the price is not known.
        hours: at the limits of the settings, or at a latency of one second; None where the run's own workers judge.
    """

    rows: int
    to_ask: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    hours: float | None

    def line(self, model: str) -> str:
        """One line for the terminal."""
        cost = "of unknown price" if self.cost_usd is None else _dollars(self.cost_usd)
        if self.hours is None:
            takes = "on the run's own workers, whose pace is not known before"
        else:
            takes = f"{cost}, {_duration(self.hours)}"
        return (
            f"{self.rows:,} rows, {self.to_ask:,} to be judged by {model}, {self.cached:,} of them known: "
            f"about {self.tokens_in:,} tokens in and {self.tokens_out:,} out, {takes}"
        )


def _dollars(cost: float) -> str:
    return "less than $0.01" if 0 < cost < 0.01 else f"about ${cost:,.2f}"


def _duration(hours: float) -> str:
    """As one would say it.

    >>> _duration(0.004), _duration(0.5), _duration(30.0)
    ('less than a minute', 'about 30 minutes', 'about 30 hours')
    """
    if hours < 1 / 60:
        return "less than a minute"
    return f"about {hours * 60:.2g} minutes" if hours < 2 else f"about {hours:.3g} hours"


def estimate(
    rows: int, requests: Iterable[tuple[Messages, bool]], settings: JudgeSettings, price: Price | None, processes: int
) -> Estimate:
    """What the requests would take.

    Args:
        rows: of the answers, those that need no judge among them.
        requests: what would be asked, and whether its reply is cached.
        settings: the judge and its limits.
        price: of its tokens.
        processes: that ask at the same time.
    """
    to_ask = cached = n_bytes = n_messages = 0
    for messages, is_cached in requests:
        to_ask += 1
        cached += is_cached
        if not is_cached:
            n_messages += len(messages)
            n_bytes += sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
    n_new = to_ask - cached
    tokens_in = round(n_bytes / BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE * n_messages
    tokens_out = TOKENS_OUT * n_new
    return Estimate(
        rows=rows,
        to_ask=to_ask,
        cached=cached,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost_usd=None if price is None else price.cost_usd(tokens_in, tokens_out),
        hours=_minutes(n_new, tokens_in + tokens_out, settings, processes) / 60
        if settings.engine == "openai"
        else None,
    )


def _minutes(requests: int, tokens: int, settings: JudgeSettings, processes: int) -> float:
    """At the tightest of the limits."""
    usable = MINUTE_S / (MINUTE_S + LEASE_S + WAY_S)
    candidates = [requests / (settings.concurrency * processes) * ASSUMED_LATENCY_S / 60]
    if settings.requests_per_minute:
        candidates.append(requests / (settings.requests_per_minute * usable))
    if settings.tokens_per_minute:
        candidates.append(tokens / (settings.tokens_per_minute * usable))
    return max(candidates)
