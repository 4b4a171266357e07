"""Values that differ by part of a run's rows, told by texts such as ``1``, ``train=1``, ``mmlu=5``."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePath
from typing import Generic, Literal, TypeVar

from raycalib.errors import ConfigError
from raycalib.sources.facts.splits import HELDOUT, TEST, TRAIN, VAL_CALIBRATE, VAL_SELECT
from raycalib.sources.hub.catalogue import HUB_SOURCES
from raycalib.sources.names import EVALUATIONS, FACTS

T = TypeVar("T")
HeaderName = Literal["none", "as-answered"]

VAL = "val"
SPLIT_PARTS = (TRAIN, VAL, TEST, HELDOUT)
WHOLE_VALIDATION = "validation"
"""A dataset's own split, before a run deals it."""

FAMILIES = tuple(beginning.removesuffix(":") for beginning in EVALUATIONS.values())
ALL = ""
"""Stands for the part of a value that names none."""

NO_HEADER: HeaderName = "none"
AS_ANSWERED: HeaderName = "as-answered"
HEADERS: dict[str, HeaderName] = {name: name for name in (NO_HEADER, AS_ANSWERED)}
PAPER_QUERY_HEADER = ("none", "mmlu=as-answered", "mmlu_pro=as-answered")
"""The query headers of the paper's evaluation; see docs/differences.md."""


@dataclass(frozen=True)
class PartValues(Generic[T]):
    """One value for every row of a run; it pickles to workers.

    Attributes:
        default: of rows that no part speaks of.
        by_part: values of parts: ``train``, ``val``, ``test``, ``heldout_families``, or the name of an evaluation set
            or of a source, where ``mmlu`` is all its tasks.
    """

    default: T
    by_part: tuple[tuple[str, T], ...] = ()

    def value_for(self, split: str, source: str) -> T:
        """The value of a row.

        Rows that something is learned from go by ``train`` and ``val`` alone, so that what is said of an evaluation
        set never touches what was tuned. Others go by their source, then its family, then their set or split.

        >>> values = PartValues(0, (("train", 1), ("mmlu", 5), ("mmlu:virology", 3), ("test", 2)))
        >>> [values.value_for("heldout_families", f"mmlu:{task}") for task in ("anatomy", "virology")]
        [5, 3]
        >>> values.value_for("train", "arc"), values.value_for("val_select", "arc"), values.value_for("test", "arc")
        (1, 0, 2)
        """
        named = dict(self.by_part)
        return next((named[name] for name in _names(split, source) if name in named), self.default)

    def by_split(self, splits: Sequence[str], sources: Collection[str]) -> dict[str, object]:
        """What rows of these splits and sources hang on, for hashing: by source only where a split's sources differ."""
        found: dict[str, object] = {}
        for split in splits:
            values = {source: self.value_for(split, source) for source in sorted(sources) or [""]}
            first = next(iter(values.values()))
            found[split] = first if all(value == first for value in values.values()) else values
        return found


def is_validated(split: str, source: str) -> bool:
    """Whether something is selected or calibrated on a row; no run does on a source's that only evaluates."""
    if split == WHOLE_VALIDATION:
        return not (source in HUB_SOURCES and HUB_SOURCES[source].evaluation_only)
    return split in (VAL_SELECT, VAL_CALIBRATE)


QueryHeader = PartValues[HeaderName]
WITHOUT_HEADER: QueryHeader = PartValues(NO_HEADER)


def parse_query_header(given: Sequence[str], sets: Collection[str] = ()) -> QueryHeader:
    """Whether the uncertainty query shows the few-shot header that its row was answered with.

    Args:
        given: ``none`` or ``as-answered`` for all parts, ``PART=none`` or ``PART=as-answered`` for one.
        sets: names of evaluation sets that may be parts, beside those that every run knows.

    Raises:
        ConfigError: a part or a value is unknown, or given twice.

    >>> parse_query_header(["none", "mmlu=as-answered"]).value_for("mmlu", "mmlu:anatomy")
    'as-answered'
    """
    found = _read_parts("query_header", given, HEADERS.__getitem__, f"allowed: {', '.join(HEADERS)}", sets)
    return PartValues(found.pop(ALL, NO_HEADER), tuple(sorted(found.items())))


def header_identity(header: QueryHeader, splits: Sequence[str], sources: Collection[str] = ()) -> dict[str, object]:
    """What to add to the identity of a step that queries such rows; nothing where no query shows a header.

    Rows to train and validate on do not hang on their sources.
    """
    by_split = header.by_split(splits, sources)
    return {} if all(value == NO_HEADER for value in by_split.values()) else {"query_header": by_split}


def parse_shots(k_shot: Sequence[str], eval_k_shot: int | None = None) -> PartValues[int | None]:
    """The numbers of few-shot examples; None is the source's default.

    Args:
        k_shot: ``N`` for ``train`` and ``val``, ``PART=N`` for one part; where nothing is said of ``val``, it is as
            ``train``.
        eval_k_shot: of the evaluated rows that no part of ``k_shot`` speaks of.

    Raises:
        ConfigError: a part is unknown, a value is no number from 0, or one is given twice.

    >>> shots = parse_shots(["train=1", "mmlu=3"])
    >>> shots.value_for("val_select", "arc"), shots.value_for("test", "arc"), shots.value_for("mmlu", "mmlu:virology")
    (1, None, 3)
    """
    found = _read_parts("source.k_shot", k_shot, _number, "at least 0: a whole number, such as 1 or train=1 mmlu=5")
    both = found.pop(ALL, found.get(TRAIN))
    taught = {TRAIN: found.get(TRAIN, both), VAL: found.get(VAL, both)}
    return PartValues(eval_k_shot, tuple(sorted((found | taught).items())))


def _number(text: str) -> int | None:
    """``None``, which asks for the source's default, can be written too."""
    if text == "None":
        return None
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _read_parts(
    field: str, given: Sequence[str], read: Callable[[str], T], allowed: str, sets: Collection[str] = ()
) -> dict[str, T]:
    """The values by part, that of no part under ``ALL``; all problems are raised at once."""
    found: dict[str, T] = {}
    problems = []
    for text in map(str, given if isinstance(given, tuple | list) else (given,)):
        name, equals, value = text.rpartition("=")
        part = _part(name, sets) if equals else ALL
        try:
            meant = read(value)
        except (KeyError, ValueError):
            problems.append(f"{field}: {text or repr(text)} is not allowed; {allowed}")
            continue
        if part is None:
            problems.append(f"{field}: the part {name!r} is unknown; {_allowed_parts(name, sets)}")
        elif part in found:
            problems.append(f"{field}: {name or 'a value without a part'} is given twice; give it once")
        else:
            found[part] = meant
    if problems:
        raise ConfigError("; ".join(problems))
    return found


def _part(name: str, sets: Collection[str]) -> str | None:
    """A part as rows are matched with it; None where no run knows it."""
    name = EVALUATIONS.get(name, name).removesuffix(":")
    if name.startswith(("file:", "hub:")):
        return _of_own(name)
    return name if name in (*SPLIT_PARTS, *FAMILIES, FACTS, *HUB_SOURCES, *sets) else None


def _of_own(source: str) -> str:
    """A file by its name alone, without directories and ending: so it is called in figures."""
    kind, _, place = source.partition(":")
    return f"file:{PurePath(place).stem}" if kind == "file" else source


def _allowed_parts(name: str, sets: Collection[str]) -> str:
    known = [*SPLIT_PARTS, *FAMILIES, *sets]
    near = get_close_matches(name, [*known, *HUB_SOURCES], n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"allowed: {', '.join(known)}, a source such as arc or mmlu:anatomy, your own as file:NAME or hub:NAME{hint}"


def _names(split: str, source: str) -> tuple[str, ...]:
    """The parts that a row belongs to, the narrowest first."""
    if split == TRAIN:
        return (TRAIN,)
    return (VAL,) if is_validated(split, source) else (_of_own(source), source.partition(":")[0], split)
