"""Progress of long steps: one line each that is updated in place on a terminal, few plain lines elsewhere."""

from collections.abc import Callable, Mapping, Sequence
import time
from typing import Any

from raycalib.console import CONSOLE
from raycalib.stages.lines.worker_lines import in_worker, tell

Say = Callable[[str], None]


def say(text: str) -> None:
    """A line that stays, at once; from a worker it is shown where the job runs. Names in it never steer a terminal."""
    if in_worker():
        tell("say", text)
    else:
        CONSOLE.say(text)


def show(text: str, key: str = "") -> None:
    """A line that the next one of its key replaces; where nothing can be replaced, a line from time to time."""
    if in_worker():
        tell("show", text, key)
    else:
        CONSOLE.show(text, key)


def end(text: str, key: str = "") -> None:
    """A line that stays in place of the one that was replaced so far."""
    if in_worker():
        tell("end", text, key)
    else:
        CONSOLE.end(text, key)


def beat(text: str, key: str) -> None:
    """A sign of life of the worker's job of that key, which is never shown as a line; see ``beats``."""
    if in_worker():
        tell("beat", text, key)


class ShardProgress:
    """One line that goes on: shards and rows done, rates, padding, time left.

    Attributes:
        title: how the line begins; it may change.
        figures: sums of what the workers count, such as ``tokens_read``, ``tokens_generated``, ``padded_positions``.
        spent: seconds of the processes, added up, by what they were spent on, as far as a stage measures it.
        first_shard_s: seconds until the first shard was done, the loading of models among them.
    """

    def __init__(self, title: str, n_shards: int, key: str = "") -> None:
        self.title, self.n_shards = title, n_shards
        self.key = key or title
        self.shards = self.rows = self.errors = 0
        self.figures: dict[str, float] = {}
        self.spent: dict[str, float] = {}
        self.started = time.monotonic()
        self.first_shard_s: float | None = None
        if n_shards:
            show(f"  {title}: 0/{n_shards} shards", self.key)

    def add(self, rows: int, errors: int, figures: Mapping[str, float] | None = None) -> None:
        """Counts one finished shard, and shows it."""
        self.count(rows, errors, figures)
        (end if self.shards == self.n_shards else show)(self.line(time.monotonic() - self.started), self.key)

    def leave(self) -> None:
        """Lets the line stay as it is, where not all shards are done."""
        if self.shards < self.n_shards:
            CONSOLE.leave(self.key)

    def count(self, rows: int, errors: int, figures: Mapping[str, float] | None = None) -> None:
        """Counts one finished shard."""
        now = time.monotonic()
        if self.first_shard_s is None:
            self.first_shard_s = now - self.started
        self.shards += 1
        self.rows += rows
        self.errors += errors
        for name, value in (figures or {}).items():
            self.figures[name] = self.figures.get(name, 0) + value

    def took(self, seconds: Mapping[str, float]) -> None:
        """Adds what a process has spent on one shard."""
        for name, value in seconds.items():
            self.spent[name] = self.spent.get(name, 0.0) + value

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
        kept |= {name: round(value, 3) for name, value in self.spent.items()}
        if self._tokens:
            kept["tokens_per_s"] = round(self._tokens / seconds, 1)
            kept["padding_share"] = round(self.padding_share, 4)
        return kept | ({"figures_this_run": dict(self.figures)} if self.figures else {})


class PoolProgress:
    """One line of a pool that does the shards of several sets, and the figures of each set for its manifest.

    The shards come in the order of the sets: the time of a set begins where the one before it ends, and the loading of
    models is in that of the first.
    """

    def __init__(self, title: str, sets: Sequence[tuple[str, int]]) -> None:
        """Shows the line.

        Args:
            title: of what the pool does, such as stage and model.
            sets: of each its name, and how many of its shards are to be done; of one alone the title says it.
        """
        self.title, self.names = title, [name for name, _ in sets]
        self.whole = ShardProgress(pool_title(title, self.names), sum(n for _, n in sets), key=title)
        self.of_sets = [ShardProgress("", 0) for _ in sets]  # without a line of their own
        self.n_shards = [n for _, n in sets]

    def add(self, index: int, rows: int, errors: int, figures: Mapping[str, float]) -> None:
        """Counts one finished shard of a set."""
        counted = self.of_sets[index]
        counted.count(rows, errors, figures)
        under_way = [n for n, progress in enumerate(self.of_sets) if progress.shards < self.n_shards[n]]
        if counted.shards == self.n_shards[index] and under_way and under_way[0] > index:
            self.of_sets[under_way[0]].started = time.monotonic()
        self.whole.title = pool_title(self.title, [self.names[n] for n in under_way] or self.names)
        self.whole.add(rows, errors, figures)

    def details(self, index: int) -> dict[str, Any]:
        """What the manifest of a set keeps of this run."""
        kept = self.of_sets[index].details()
        return kept if index == 0 else kept | {"first_shard_s": None}

    def leave(self) -> None:
        """Lets the line stay as it is, where not all shards are done."""
        self.whole.leave()


NAMED_SETS = 3


def pool_title(title: str, names: Sequence[str]) -> str:
    """What a pool does, as a user reads it, with the sets that are under way.

    >>> pool_title("answers llama2-7b", ["training oe", "test oe"]), pool_title("answers llama2-7b", [""])
    ('answers llama2-7b (training oe, test oe)', 'answers llama2-7b')
    >>> pool_title("answers m", ["a", "b", "c", "d", "e"])
    'answers m (a, b, c and 2 more)'
    """
    named = [name for name in names if name]
    if not named:
        return title
    more = f" and {len(named) - NAMED_SETS} more" if len(named) > NAMED_SETS else ""
    return f"{title} ({', '.join(named[:NAMED_SETS])}{more})"
