"""Rows of one source and split on their way to questions of one style."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol

import numpy as np

from raycalib.records import Row
from raycalib.sources.drawing.refused import RefusedRow
from raycalib.sources.drawing.row_ids import RowIds
from raycalib.sources.facts.questions import fact_questions
from raycalib.sources.facts.splits import SPLITS, TRAIN
from raycalib.sources.hub.item import Item, Refusal
from raycalib.sources.hub.rendering import few_shot_header, render
from raycalib.sources.open_source import OpenSource
from raycalib.sources.parts import PartValues, is_validated


class Candidate(NamedTuple):
    """A row that can be asked.

    Attributes:
        stream: where it comes from.
        split: the run's split.
        subject: what the stream makes a question of.
    """

    stream: "Stream"
    split: str
    subject: Any


class LeftOut(Enum):
    """Why a row that can be read is no question here."""

    SIBLING = "it belongs to another source that shares the split"
    STYLE = "it has no question in the style"
    BEYOND = "it is beyond what is taken of its source"
    OTHER_SPLIT = "it is of a split that is not asked for"


Event = Candidate | RefusedRow | LeftOut
"""What a row becomes."""


class Stream(Protocol):
    """Rows that can be gone through again and again."""

    @property
    def label(self) -> str:
        """The source."""

    @property
    def part(self) -> int:
        """Number of the part of the source's name."""

    @property
    def even_total(self) -> int | None:
        """The streams of a part that have it give so many rows together, each the same number; else None."""

    @property
    def possible_splits(self) -> frozenset[str]:
        """The run's splits that its rows may have, as far as that is known without reading them."""

    def events(self) -> Iterator[Event]:
        """What each row becomes, in order."""

    def content(self, candidate: Candidate) -> Sequence[str]:
        """What makes the candidate the question that it is, in any style."""

    def row(self, candidate: Candidate, ids: RowIds) -> Row:
        """The candidate as a question record."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How questions are put.

    Attributes:
        style: ``oe`` or ``choice``.
        seed: of few-shot examples and choices.
        shots: few-shot examples by part; None is the source's default.
        paper_exact: let a row be its own example, as in the paper's code.
    """

    style: str
    seed: int
    shots: PartValues[int | None]
    paper_exact: bool = False


@dataclass(frozen=True, kw_only=True)
class SourceStream:
    """One split of an opened source.

    Attributes:
        source: the source.
        role: which of its splits.
        asking: how its questions are put.
        part: see ``Stream``.
        takes: the run's splits whose rows are taken; None takes all.
        taken_elsewhere: so many rows of the other splits are taken by another stream, the rest by none; None is all.
        first: stop after so many questions; None goes on to the end.
        even_total: see ``Stream``.
        as_split: what to call the split, in place of the run's.
    """

    source: OpenSource
    role: str
    asking: Asking
    part: int = 0
    takes: frozenset[str] | None = None
    taken_elsewhere: int | None = None
    first: int | None = None
    even_total: int | None = None
    as_split: str | None = None

    @property
    def label(self) -> str:
        """The source's label."""
        return self.source.label

    @property
    def possible_splits(self) -> frozenset[str]:
        """See ``Stream``."""
        if self.as_split is not None:
            return frozenset({self.as_split})
        found = self.source.possible_splits(self.role)
        return found if self.takes is None else found & self.takes

    def events(self) -> Iterator[Event]:
        """See ``Stream``; a row whose split another stream takes is no event of this one."""
        source, role, style, n, n_others = self.source, self.role, self.asking.style, 0, 0
        place = ""
        for found in source.read(role) if self.first != 0 else ():
            if isinstance(found, Item):
                if not source.has_style(style, found):
                    yield LeftOut.STYLE
                    continue
                if self.as_split is not None and not source.is_evaluated(role, found):
                    yield LeftOut.OTHER_SPLIT
                    continue
                split = self.as_split or source.split_of(role, found)
                if self.takes is not None and split not in self.takes:
                    n_others += 1
                    if self.taken_elsewhere is not None and n_others > self.taken_elsewhere:
                        yield LeftOut.BEYOND
                    continue
                yield Candidate(self, split, found)
                n += 1
                if n == self.first:
                    return
            elif found is None:
                yield LeftOut.SIBLING
            else:
                place = place or source.place(role)
                yield self._refused(found, place)

    def _refused(self, refusal: Refusal, place: str) -> RefusedRow:
        return RefusedRow(
            source=self.label,
            place=place,
            row=refusal.row + 1,
            style=self.asking.style,
            field=refusal.field,
            reason=refusal.reason,
            expected=refusal.expected,
            content=refusal.content,
        )

    def content(self, candidate: Candidate) -> Sequence[str]:
        """See ``Stream``."""
        item: Item = candidate.subject
        return *self.source.identity(self.role, ""), *item.texts.values(), *sorted(item.options)

    def shots(self, split: str) -> int:
        """Few-shot examples of a row of the split; rows to validate on have as many as those to train on."""
        asked = self.asking.shots.value_for(split, self.label)
        if asked is not None:
            return asked
        return self.source.words.shots_in(TRAIN if is_validated(split, self.label) else split)

    def row(self, candidate: Candidate, ids: RowIds) -> Row:
        """See ``Stream``."""
        source, style, item, split = self.source, self.asking.style, candidate.subject, candidate.split
        k = self.shots(split)
        header = few_shot_header(
            source.words,
            item,
            style,
            pool=source.pool() if k else (),
            k=k,
            seed=self.asking.seed,
            paper_exact=self.asking.paper_exact,
        )
        example = render(source.words, item, style, header=header)
        return {
            "row_id": ids.of(*source.identity(self.role, split), style, example.text(), example.target),
            "source": source.label,
            "split": split,
            "style": style,
            "task": source.task(item),
            "group": source.group(item),
            "fresh_entity": False,
            "prompt": example.prompt,
            "context": example.context,
            "target_prompt": example.target_prompt,
            "target": example.target,
            "options": list(item.options) if style == "choice" else [],
            "aliases": list(item.aliases) if item.aliases and style == "oe" else None,
            "solution": item.solution or None if style == "oe" else None,
        }


@dataclass(frozen=True, kw_only=True)
class FactsStream:
    """The embedded facts, all splits.

    Attributes:
        asking: how questions are put; facts take no few-shot examples.
        part: see ``Stream``.
        limits: at most so many rows of a split.
        splits: that are read.
        as_split: what to call them, in place of the run's.
    """

    asking: Asking
    part: int = 0
    limits: Mapping[str, int] = field(default_factory=dict)
    splits: tuple[str, ...] = SPLITS
    as_split: str | None = None
    label: str = "facts"
    even_total: int | None = None

    @property
    def possible_splits(self) -> frozenset[str]:
        """See ``Stream``."""
        return frozenset(self.splits) if self.as_split is None else frozenset({self.as_split})

    def events(self) -> Iterator[Event]:
        """See ``Stream``."""
        for split in self.splits:
            for row in fact_questions(self.asking.style, split, self.asking.seed, self.limits.get(split)):
                yield Candidate(self, self.as_split or split, row)

    def content(self, candidate: Candidate) -> Sequence[str]:
        """See ``Stream``."""
        return (candidate.subject["row_id"],)

    def row(self, candidate: Candidate, ids: RowIds) -> Row:
        """See ``Stream``."""
        row: Row = candidate.subject
        return row if self.as_split is None else row | {"split": self.as_split}


@dataclass(frozen=True, kw_only=True)
class PermutedStreams:
    """A few streams one after the other, their questions in a drawn order, as the paper orders its validation rows.

    Attributes:
        streams: what is permuted; their rows have to fit into memory.
        seed: of the order.
        part: see ``Stream``.
    """

    streams: tuple[SourceStream, ...]
    seed: int
    part: int = 0
    label: str = "mixture"
    even_total: int | None = None

    @property
    def possible_splits(self) -> frozenset[str]:
        """See ``Stream``."""
        return frozenset().union(*(stream.possible_splits for stream in self.streams))

    def events(self) -> Iterator[Event]:
        """See ``Stream``; what is no question comes first."""
        candidates = []
        for stream in self.streams:
            for event in stream.events():
                if isinstance(event, Candidate):
                    candidates.append(event)
                else:
                    yield event
        for index in np.random.RandomState(self.seed).permutation(len(candidates)):
            yield candidates[index]

    def content(self, candidate: Candidate) -> Sequence[str]:
        """See ``Stream``."""
        return candidate.stream.content(candidate)

    def row(self, candidate: Candidate, ids: RowIds) -> Row:
        """See ``Stream``."""
        return candidate.stream.row(candidate, ids)
