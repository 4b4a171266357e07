"""Answers or labelled rows of a place, opened: what is read as what, and the rows as often as they are wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from raycalib.errors import ConfigError, DataError
from raycalib.hashing import stable_hash
from raycalib.records import LABELLED, PROMPT_STYLES, Row
from raycalib.sources.given.cells import text_columns
from raycalib.sources.given.layouts import Part, open_parts
from raycalib.sources.given.places import GivenPlace
from raycalib.sources.given.records import are_records
from raycalib.sources.given.rows import Ids, Reading, RefusedGiven, RowReader
from raycalib.sources.given.splits import SPLIT_NAMES, Dealing, dealing_of, meant
from raycalib.sources.own.peek import PEEKED_ROWS
from raycalib.sources.reading import Table

GIVEN_VERSION = 1
"""Goes up where a given row becomes another record; part of what the rows are known by."""

Kind = Literal["answers", "labelled"]

ANSWER_COLUMNS = ("output", "answer")
LABEL_COLUMN, SPLIT_COLUMN = "query_label", "split"
OPTIONAL = (
    "target_prompt", SPLIT_COLUMN, "task", "prompt", "style", "options", "aliases", "source", "source_dataset",
    "row_id",
)  # fmt: skip
READ = tuple(dict.fromkeys(["context", "target", *ANSWER_COLUMNS, LABEL_COLUMN, *OPTIONAL, *LABELLED.names]))
"""All columns that are read where they are there: those of whole records too."""


@dataclass(frozen=True, kw_only=True)
class GivenSource:
    """Rows that can be gone through again and again.

    Attributes:
        place: where they are.
        kind: what they are.
        parts: their tables.
        names: the columns that are read, of all tables.
        reading: how.
        max_bad_rows: share of the rows that may be unusable.
    """

    place: GivenPlace
    kind: Kind
    parts: tuple[Part, ...]
    names: tuple[str, ...]
    reading: Reading
    max_bad_rows: float

    def fingerprint(self) -> str:
        """Changes when the rows do: of files their content, of the hub the dataset's name."""
        return stable_hash([(part.split, part.table.fingerprint()) for part in self.parts])

    def identity(self) -> dict[str, object]:
        """What decides the records, for hashing."""
        return {
            "given": self.kind,
            "source": self.reading.label,
            "content": self.fingerprint(),
            "columns": list(self.names),
            "model": self.reading.model,
            "style_of_rows": self.reading.style,
            "seed": self.reading.dealing.seed,
            "version": GIVEN_VERSION,
        }

    def describe(self) -> str:
        """One line: which files, which columns are read as what, whose answers these are."""
        names = set(self.names)
        if are_records(names):
            columns = "whole records, taken as they are"
        else:
            answer = "output (its first line is the answer)" if "output" in names else "answer"
            read = ["context", "target", answer, *([LABEL_COLUMN] if self.kind == "labelled" else [])]
            columns = f"columns {', '.join([*read, *(name for name in OPTIONAL if name in names)])}"
        whose = self.reading.model
        if self.place.model and self.place.model != whose:
            whose = f"{self.place.model}, read as those of {whose}"
        n = len(self.parts)
        return (
            f"{self.kind}: {self.place.text}: {n} {'table' if n == 1 else 'tables'}, {columns}; splits {self._splits()}"
            f"; answers of {whose}"
        )

    def _splits(self) -> str:
        named = [part.split for part in self.parts if part.split]
        if named:
            return ", ".join(dict.fromkeys(named))
        return "as the rows say" if SPLIT_COLUMN in self.names else "dealt by the question"

    def rows(self) -> Iterator[Row | RefusedGiven]:
        """Each row as a record, or why it is none, in the places' order.

        Raises:
            DataError: a table cannot be read on.
        """
        ids = Ids()
        for table, split in self.parts:
            columns = text_columns(list(islice(table.rows(READ), PEEKED_ROWS)))
            reader = RowReader(self.reading, table.place, split, columns, ids)
            for raw in table.rows(READ):
                yield reader.read(raw)


def open_given(
    place: GivenPlace,
    *,
    kind: Kind,
    model: str,
    style: str | None = None,
    data_root: str | None = None,
    seed: int = 0,
    max_bad_rows: float = 0.01,
) -> GivenSource:
    """Opens a place.

    Args:
        place: where.
        kind: ``answers``, or ``labelled`` for rows with labels.
        model: whose answers these are; whole records keep their own.
        style: of rows that do not say theirs; a released set has its own.
        data_root: local copies of what is on the hub; None asks the hub.
        seed: of the dealing of rows to splits.
        max_bad_rows: share of the rows that may be unusable.

    Raises:
        ConfigError: the style is not known.
        DataError: nothing is there, it has no rows, lacks a column, or names an unknown split.
    """
    style = place.style or style
    if style is not None and style not in PROMPT_STYLES:
        raise ConfigError(f"style: {style!r} is unknown; allowed: {', '.join(PROMPT_STYLES)}")
    parts = open_parts(place, kind, data_root)
    columns = [part.table.columns() for part in parts]
    parts, columns = _with_rows(parts, columns, f"{kind}: {place.text}")
    for part, names in zip(parts, columns, strict=True):
        _check_columns(part.table.place, names, kind)
        if style is None and "style" not in names:
            raise ConfigError(
                f"style: {part.table.place} has no column 'style'; say how these questions were asked: "
                f"--styles {' or '.join(PROMPT_STYLES)}"
            )
    reading = Reading(
        kind=kind,
        label=place.label,
        task=place.default_task,
        model=model,
        style=style,
        dealing=_dealing(parts, columns, kind, seed),
        empty_targets=place.kind in ("offline", "paper"),
    )
    found = tuple(name for name in READ if any(name in names for names in columns))
    return GivenSource(place=place, kind=kind, parts=parts, names=found, reading=reading, max_bad_rows=max_bad_rows)


def _with_rows(
    parts: Sequence[Part], columns: Sequence[list[str]], given: str
) -> tuple[tuple[Part, ...], list[list[str]]]:
    """The tables that have rows: a rank that had none to do leaves an empty file."""
    kept = [
        (part, names)
        for part, names in zip(parts, columns, strict=True)
        if any(names) or next(part.table.rows(None), None) is not None
    ]
    if not kept:
        raise DataError(f"{given} has no rows")
    return tuple(part for part, _ in kept), [names for _, names in kept]


def _check_columns(place: str, names: Sequence[str], kind: Kind) -> None:
    """Raises DataError if a needed column is not there."""
    missing = [repr(name) for name in ("context", "target") if name not in names]
    if not any(name in names for name in ANSWER_COLUMNS):
        missing.append("'output' or 'answer'")
    hint = "" if "context" in names else "; context is the question as the model read it, such as 'Question: …'"
    if kind == "labelled" and LABEL_COLUMN not in names:
        missing.append(repr(LABEL_COLUMN))
        hint += "; answers without labels come in by --answers"
    if missing:
        raise DataError(
            f"{kind}: {place} has no column {' and no '.join(missing)}; it has {', '.join(names) or 'none'}{hint}"
        )


def _dealing(parts: Sequence[Part], columns: Sequence[Sequence[str]], kind: Kind, seed: int) -> Dealing:
    """How rows are dealt, after a look at all splits that are named.

    Raises:
        DataError: one is unknown.
    """
    named: set[str] = set()
    for (table, split), names in zip(parts, columns, strict=True):
        if split:
            named.add(meant(split) or "")
        elif SPLIT_COLUMN in names and not are_records(names):
            named |= _splits_of(table, kind)
        elif SPLIT_COLUMN not in names:
            named.add("")
    return dealing_of(named, any(part.split for part in parts), seed)


def _splits_of(table: Table, kind: Kind) -> set[str]:
    """What the rows' splits mean; empty where a row names none.

    Raises:
        DataError: one is unknown.
    """
    found: dict[str, str] = {}
    for raw in table.rows((SPLIT_COLUMN,)):
        value = raw.values.get(SPLIT_COLUMN)
        text = "" if raw.fault or value is None or value != value else str(value)
        if text not in found:
            split = meant(text)
            if split is None:
                raise DataError(
                    f"{kind}: {table.place}: row {raw.number} has the split {text[:40]!r}; allowed: "
                    f"{', '.join(SPLIT_NAMES)}, or empty"
                )
            found[text] = split
    return set(found.values())
