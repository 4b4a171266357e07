"""What the name of a source means: parts joined by ``+``, each with an optional limit behind a colon."""

from difflib import get_close_matches
import re
from typing import NamedTuple

from raycalib.errors import ConfigError
from raycalib.sources.hub.catalogue import HUB_SOURCES

FACTS = "facts"
MIXTURE = "all_20k_uniform"
EVALUATIONS = {"eval:mmlu": "mmlu:", "eval:mmlu_pro": "mmlu_pro:"}
"""Collections of sources for evaluation, and how the names of their sources begin."""

COLLECTIONS = (MIXTURE, *EVALUATIONS)
ALLOWED = (
    "facts, file:PATH (jsonl, csv or parquet), hub:ORG/NAME[:CONFIG], "
    f"{', '.join(COLLECTIONS)}, or a source of docs/sources.md such as arc or mmlu:anatomy; "
    "parts are joined by +, and name:N takes at most N rows of each split"
)

FILE = re.compile(r"file:(?:(?!\+file:|\+hub:).)+?\.(?:parquet|jsonl|csv)(?::\d+)?(?=\+|$)")
LIMIT = re.compile(r"(.+):(\d+)")
DATASET = re.compile(r"hub:[\w.-]+/[\w.-]+(:[^:/]+)?")


class SourcePart(NamedTuple):
    """One part of a source's name.

    Attributes:
        name: such as ``arc``, ``mmlu:anatomy``, ``all_20k_uniform``, ``file:PATH``, ``hub:ORG/NAME``, ``facts``.
        limit: at most so many rows of each split; None is all.
    """

    name: str
    limit: int | None = None

    @property
    def text(self) -> str:
        """The part as it is written."""
        return self.name if self.limit is None else f"{self.name}:{self.limit}"

    @property
    def is_file(self) -> bool:
        """Whether it is a file of one's own."""
        return self.name.startswith("file:")

    @property
    def is_dataset(self) -> bool:
        """Whether it is a dataset on the hub that no declaration knows."""
        return self.name.startswith("hub:")


def parse_source(text: str) -> tuple[SourcePart, ...]:
    """The parts of a source's name, in order.

    >>> [tuple(part) for part in parse_source("arc:500+mmlu:anatomy+file:a+b.csv:9")]
    [('arc', 500), ('mmlu:anatomy', None), ('file:a+b.csv', 9)]

    Raises:
        ConfigError: a name is unknown or there twice, or a limit is 0.
    """
    parts = [_part(piece) for piece in _pieces(text)]
    problems = [problem for part in parts if (problem := _problem(part))]
    names = [part.name for part in parts]
    problems += [f"source: {name!r} is named twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += [
        f"source: {name!r} is part of {collection!r}; leave out one of them"
        for collection, beginning in EVALUATIONS.items()
        for name in names
        if collection in names and name.startswith(beginning)
    ]
    if problems:
        raise ConfigError("; ".join(problems))
    return tuple(parts)


def _pieces(text: str) -> list[str]:
    pieces = []
    while True:
        # A file's path may hold a plus: it goes on to the first known ending before a plus or the end.
        found = FILE.match(text)
        piece = found[0] if found else text.partition("+")[0]
        pieces.append(piece)
        if len(piece) == len(text):
            return pieces
        text = text[len(piece) + 1 :]


def _part(piece: str) -> SourcePart:
    found = LIMIT.fullmatch(piece)
    return SourcePart(found[1], int(found[2])) if found else SourcePart(piece)


def _problem(part: SourcePart) -> str:
    if part.limit == 0:
        return f"source: {part.name}:0 takes no rows; at least 1"
    known = part.name in (FACTS, *COLLECTIONS, *HUB_SOURCES)
    if known or (part.is_file and part.name != "file:") or DATASET.fullmatch(part.name):
        return ""
    near = get_close_matches(part.name, [FACTS, *COLLECTIONS, *HUB_SOURCES], n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"source: {part.name!r} is unknown; allowed: {ALLOWED}{hint}"
