"""Progress of long steps: one line each that is updated in place on a terminal, few plain lines elsewhere."""

from collections.abc import Callable, Mapping
import time
from typing import Any

from raycalib.console import CONSOLE
from raycalib.stages.worker_lines import in_worker, tell

Say = Callable[[str], None]


def say(text: str) -> None:
    """A line that stays, at once; from a worker it is shown where the job runs. Names in it never steer a terminal."""
    if in_worker():
        tell("say", text)
    else:
        CONSOLE.say(text)


def show(text: str) -> None:
    """A line that the next one replaces; where nothing can be replaced, a line from time to time."""
    if in_worker():
        tell("show", text)
    else:
        CONSOLE.show(text)


def end(text: str) -> None:
    """A line that stays in place of the one that was replaced so far."""
    if in_worker():
        tell("end", text)
    else:
        CONSOLE.end(text)


class ShardProgress:
    """One line that goes on: shards and rows done, rates, padding, time left.

    Attributes:
        figures: sums of what the workers count, such as ``tokens_read``, ``tokens_generated``, ``padded_positions``.
        first_shard_s: seconds until the first shard was done, the loading of models among them.
    """

    def __init__(self, title: str, n_shards: int) -> None:
        self.title, self.n_shards = title, n_shards
        self.shards = self.rows = self.errors = 0
        self.figures: dict[str, float] = {}
        self.started = time.monotonic()
        self.first_shard_s: float | None = None
        if n_shards:
            show(f"  {title}: 0/{n_shards} shards")

    def add(self, rows: int, errors: int, figures: Mapping[str, float] | None = None) -> None:
        """Counts one finished shard."""
        now = time.monotonic()
        if self.first_shard_s is None:
            self.first_shard_s = now - self.started
        self.shards += 1
        self.rows += rows
        self.errors += errors
        for name, value in (figures or {}).items():
            self.figures[name] = self.figures.get(name, 0) + value
        (end if self.shards == self.n_shards else show)(self.line(now - self.started))

    def line(self, seconds: float) -> str:
        """The line after so many seconds."""
        rate = self.rows / seconds if seconds else 0.0
        left = (self.n_shards - self.shards) * self._per_shard(seconds)
        errors = f" · {self.errors:,} rows failed" if self.errors else ""
        return (
            f"  {self.title}: {self.shards}/{self.n_shards} shards · {self.rows:,} rows · {rate:,.0f} rows/s"
            f"{self._of_work(seconds)}{errors} · first shard after {self.first_shard_s or seconds:.0f} s"
            f" · {seconds:.0f} s" + (f", about {left:.0f} s left" if self.shards < self.n_shards else "")
        )

    def _per_shard(self, seconds: float) -> float:
        """Seconds that a shard takes; of those before the first, most were the loading of models."""
        if self.shards > 1 and self.first_shard_s is not None:
            return (seconds - self.first_shard_s) / (self.shards - 1)
        return seconds / max(1, self.shards)

    def _of_work(self, seconds: float) -> str:
        if "requests" in self.figures:
            cost = self.figures.get("cost_usd", 0.0)
            asked = f" · {self.figures['requests']:,.0f} requests, {self.figures['cached']:,.0f} replies known"
            return asked + (f", ${cost:.4f}" if cost else "")
        if not self._tokens:
            return ""
        return f" · {self._tokens / seconds:,.0f} tokens/s · {self.padding_share:.1%} padding"

    @property
    def _tokens(self) -> float:
        return self.figures.get("tokens_read", 0) + self.figures.get("tokens_generated", 0)

    @property
    def padding_share(self) -> float:
        """Positions computed for nothing, of all; in [0, 1]."""
        padded = self.figures.get("padded_positions", 0)
        return padded / max(1, self._tokens + padded)

    def details(self) -> dict[str, Any]:
        """What the manifest keeps of this run: seconds, rows, rates per second, and the workers' own figures."""
        seconds = time.monotonic() - self.started
        kept: dict[str, Any] = {
            "seconds": round(seconds, 3),
            "rows_this_run": self.rows,
            "first_shard_s": None if self.first_shard_s is None else round(self.first_shard_s, 3),
            "rows_per_s": round(self.rows / seconds, 3) if seconds else 0.0,
        }
        if self._tokens:
            kept["tokens_per_s"] = round(self._tokens / seconds, 1)
            kept["padding_share"] = round(self.padding_share, 4)
        return kept | ({"figures_this_run": dict(self.figures)} if self.figures else {})
