"""Progress of long steps as plain lines, readable in a terminal, a log file and ``ray job logs``."""

from collections.abc import Callable
import sys
import time

from raycalib.printable import printable_lines

Say = Callable[[str], None]


def say(text: str) -> None:
    """Prints one line at once; names in it never steer a terminal.

    Not by ``print``, which Ray Train replaces in its workers and then shows twice.
    """
    sys.stdout.write(f"{printable_lines(text)}\n")
    sys.stdout.flush()


class ShardProgress:
    """One line every few seconds: shards and rows done, rate, time left."""

    def __init__(self, title: str, n_shards: int, every_s: float = 5.0) -> None:
        self.title, self.n_shards, self.every_s = title, n_shards, every_s
        self.shards = self.rows = self.errors = 0
        self.started = time.monotonic()
        self.first_shard_s: float | None = None
        self._said = 0.0

    def add(self, rows: int, errors: int) -> None:
        """Counts one finished shard."""
        now = time.monotonic()
        if self.first_shard_s is None:
            self.first_shard_s = now - self.started
        self.shards += 1
        self.rows += rows
        self.errors += errors
        if now - self._said >= self.every_s or self.shards == self.n_shards:
            self._said = now
            say(self.line(now - self.started))

    def line(self, seconds: float) -> str:
        """The line after so many seconds."""
        rate = self.rows / seconds if seconds else 0.0
        left = (self.n_shards - self.shards) * seconds / max(1, self.shards)
        errors = f" · {self.errors:,} rows failed" if self.errors else ""
        return (
            f"  {self.title}: {self.shards}/{self.n_shards} shards · {self.rows:,} rows · {rate:,.0f} rows/s"
            f"{errors} · {seconds:.0f} s" + (f", about {left:.0f} s left" if self.shards < self.n_shards else "")
        )
