"""Which source of questions, and how many rows of each split."""

from dataclasses import dataclass, field

from raycalib.errors import ConfigError
from raycalib.sources.facts.splits import SPLITS


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """Where questions come from.

    Attributes:
        name: ``facts`` (embedded) or ``file:PATH`` with your own questions (jsonl, csv or parquet).
        limits: at most so many rows per split and style, by split; a split not named is taken whole.
    """

    name: str = "facts"
    limits: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [
            f"source.limits[{split}]: {limit} is not allowed; at least 1"
            for split, limit in self.limits.items()
            if limit < 1
        ]
        problems += [
            f"source.limits: the split {split!r} is unknown; allowed: {', '.join(SPLITS)}"
            for split in self.limits
            if split not in SPLITS
        ]
        if self.name != "facts" and not self.name.startswith("file:"):
            problems.append(f"source: {self.name!r} is unknown; allowed: facts, file:PATH (jsonl, csv or parquet)")
        if problems:
            raise ConfigError("; ".join(problems))

    @property
    def slug(self) -> str:
        """The name as a part of a file name."""
        return "facts" if self.name == "facts" else "file"
