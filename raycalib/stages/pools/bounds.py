"""How many rows of a stage may fail or stay unscored before the run stops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raycalib.errors import ConfigError
from raycalib.stages.output import StageError, StageOutput
from raycalib.storage import Location, read_tables

UNSCORED = "unscored_reason"
MOST_FAILED, MOST_UNSCORED = 0.05, 0.2
EARLY_SHARE = 0.5
EARLY_SHARDS, EARLY_ROWS = 2, 64
"""A stage stops early once most rows of so many are bad."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Shares of a stage's rows, from 0 to 1.

    Attributes:
        max_failed: that may have an error.
        max_unscored: that may have an answer and no label.
    """

    max_failed: float = MOST_FAILED
    max_unscored: float = MOST_UNSCORED

    def __post_init__(self) -> None:
        problems = [
            f"{name}: {value} is not allowed; a share from 0 to 1"
            for name, value in (("max_failed", self.max_failed), ("max_unscored", self.max_unscored))
            if not 0 <= value <= 1
        ]
        if problems:
            raise ConfigError("; ".join(problems))


@dataclass
class Tally:
    """Rows of a stage so far.

    Attributes:
        shards: done.
        rows: of them.
        failed: with an error.
        unscored: with an answer and no label, for good.
        lost: of those that failed, of shards that were not made at all; another run does them.
        error, reason: the first cause of each.
    """

    shards: int = 0
    rows: int = 0
    failed: int = 0
    unscored: int = 0
    lost: int = 0
    error: str = ""
    reason: str = ""

    def add(self, rows: int, failed: int, unscored: int, error: str, reason: str) -> None:
        """Counts one shard."""
        self.shards += 1
        self.rows += rows
        self.failed += failed
        self.unscored += unscored
        self.error, self.reason = self.error or error, self.reason or reason

    def join(self, other: "Tally") -> None:
        """Counts what another counted."""
        self.add(other.rows, other.failed, other.unscored, other.error, other.reason)
        self.shards += other.shards - 1
        self.lost += other.lost

    def problem(self, bounds: Bounds, least_share: float = 0.0) -> str:
        """What is out of bounds, with the first cause and the flag that moves the bound; empty where nothing is.

        Args:
            bounds: of the stage.
            least_share: no smaller share is out of bounds.
        """
        for n, most, what, cause in (
            (self.failed, bounds.max_failed, "failed", self.error),
            (self.unscored, bounds.max_unscored, "unscored", self.reason),
        ):
            if n > max(most, least_share) * self.rows:
                verb, share = ("are unscored" if what == "unscored" else "failed"), n / self.rows
                return (
                    f"{n:,} of {self.rows:,} rows {verb} ({share:.1%}; --max-{what} allows {most:.1%}), the first: "
                    f"{cause or 'no cause'}"
                )
        return ""

    def early_problem(self, bounds: Bounds) -> str:
        """The same while shards are still to be done, where most rows are bad."""
        if self.shards < EARLY_SHARDS or self.rows < EARLY_ROWS:
            return ""
        return self.problem(bounds, EARLY_SHARE)


def is_unscored(row: Mapping[str, object]) -> bool:
    """Whether a row has an answer and no label, and is not to be asked again; one that failed is counted as such."""
    return bool(row.get(UNSCORED)) and not row.get("error") and not row.get("retryable")


def check_bounds(output: StageOutput, title: str, bounds: Bounds) -> None:
    """Holds a stage whose shards are all there to its bounds.

    Raises:
        StageError: too many rows failed or are unscored; they are kept.
    """
    counts = output.manifest.counts
    failed = counts.get("errors", 0)
    unscored = max(0, counts.get("unscored", 0) - failed)  # a row that failed has no label either
    tally = Tally(rows=counts.get("out", 0), failed=failed, unscored=unscored)
    if tally.problem(bounds):
        raise StageError(
            f"{title}: {_read_tally(output).problem(bounds) or tally.problem(bounds)}; {kept(output.place)}"
        )


def kept(place: Location) -> str:
    """What becomes of the rows of a stage that stopped."""
    return (
        f"all rows that are done are kept in {place.uri}: the same command with a larger bound goes on from there; to "
        "do them again, mend the cause and delete that directory"
    )


def what_next(tally: Tally, place: Location) -> str:
    """What becomes of a stage that stopped early: bad rows that are written stay, shards that were not made do not."""
    if tally.lost * 2 < tally.failed + tally.unscored:
        return kept(place)
    return f"what is done is kept in {place.uri}: mend the cause and run the same command again to do the rest"


def _read_tally(output: StageOutput) -> Tally:
    tally, columns = Tally(), ["error"]
    if "unscored" in output.manifest.counts:
        columns += [UNSCORED, "retryable"]
    for table in read_tables(output.place, output.shards, columns):
        count_rows(tally, table.to_pylist())
    return tally


def count_rows(tally: Tally, rows: Sequence[Mapping[str, object]]) -> None:
    """Counts the rows of one shard."""
    errors = [str(row["error"]) for row in rows if row.get("error")]
    reasons = [str(row[UNSCORED]) for row in rows if is_unscored(row)]
    tally.add(len(rows), len(errors), len(reasons), (errors or [""])[0], (reasons or [""])[0])
