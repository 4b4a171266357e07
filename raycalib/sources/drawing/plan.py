"""From the settings to the streams that a run reads, in order."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from raycalib.errors import ConfigError
from raycalib.sources.drawing.mixture import (
    TRAIN_ROWS,
    VALIDATION_ROWS,
    even_quotas,
    paper_train_quotas,
    paper_validation,
)
from raycalib.sources.drawing.streams import Asking, Candidate, FactsStream, PermutedStreams, SourceStream, Stream
from raycalib.sources.facts.splits import SPLITS, TEST, TRAIN, VAL_CALIBRATE, VAL_SELECT
from raycalib.sources.hub.catalogue import HUB_SOURCES, hub_source, mixture_sources
from raycalib.sources.hub.loading import local_splits
from raycalib.sources.hub.open_hub import OpenHubSource
from raycalib.sources.names import EVALUATIONS, FACTS, MIXTURE, SourcePart
from raycalib.sources.open_source import OpenSource
from raycalib.sources.own.open_own import OpenOwnSource, open_dataset, open_file
from raycalib.sources.question_sets import QuestionSet
from raycalib.sources.settings import SourceSettings

IN_TRAIN = frozenset({TRAIN})
MIXTURE_ROLES = (TRAIN, "validation")
IN_VALIDATION = frozenset({VAL_SELECT, VAL_CALIBRATE})
IN_MIXTURE = IN_TRAIN | IN_VALIDATION


@dataclass(frozen=True)
class Plan:
    """Opened sources and the streams they make; sources are opened once, and few-shot pools read once.

    Attributes:
        settings: which sources, and how.
        seed: of everything drawn.
    """

    settings: SourceSettings
    seed: int

    @cached_property
    def sources(self) -> dict[str, OpenSource]:
        """All sources but the facts, opened, by name; files of one name are told apart by their paths.

        Raises:
            DataError: a file of your own cannot be read, or lacks a column.
        """
        found = {name: self._open(name) for part in self.settings.parts for name in self.members(part)}
        labels = [source.label for source in found.values()]
        for name, source in found.items():
            if isinstance(source, OpenOwnSource) and labels.count(source.label) > 1:
                found[name] = replace(source, label=name)
        return found

    def members(self, part: SourcePart, style: str | None = None) -> list[str]:
        """The names of a part's sources, sorted within a collection; of the mixture those that have the style."""
        if part.name == FACTS:
            return []
        if part.name == MIXTURE:
            return [source.name for source in mixture_sources(style or "choice") if source.name not in self.missing]
        if part.name in EVALUATIONS:
            return [name for name in HUB_SOURCES if name.startswith(EVALUATIONS[part.name])]
        return [part.name]

    def roles(self, part: SourcePart, style: str, source: OpenSource) -> list[str]:
        """The own splits of a part's source that are read: of the mixture's sources those that it is made of.

        A source that is named beside the mixture and is in it gives what the mixture does not take, its test rows.
        """
        if part.name == MIXTURE:
            return [role for role in source.roles if role in MIXTURE_ROLES]
        in_mixture = any(other.name == MIXTURE and source.label in self.members(other, style) for other in self.parts)
        return [role for role in source.run_roles if not (in_mixture and role in MIXTURE_ROLES)]

    @property
    def parts(self) -> tuple[SourcePart, ...]:
        """The parts of the source's name."""
        return self.settings.parts

    @cached_property
    def missing(self) -> list[str]:
        """Sources of the mixture that it does without: no hub has them, and no local copy is there."""
        if all(part.name != MIXTURE for part in self.parts):
            return []
        root = self.settings.data_root
        return [
            source.name
            for source in mixture_sources("choice")
            if source.manual is not None and (root is None or not local_splits(Path(root) / source.name))
        ]

    def notes(self) -> list[str]:
        """What is worth knowing before the rows are read, a line each: columns found, and sources left out."""
        lines = [line for source in self.sources.values() if (line := source.describe())]
        for name in self.missing:
            where = "is not on the hub" if self.settings.data_root is None else f"is not in {self.settings.data_root}"
            lines.append(f"{MIXTURE} goes without {name}, which {where} (docs/sources.md)")
        return lines

    def asking(self, style: str) -> Asking:
        """How questions of a style are put."""
        settings = self.settings
        return Asking(
            style=style,
            seed=self.seed,
            shots=settings.shots,
            paper_exact=settings.paper_exact,
        )

    def streams(self, style: str, splits: Collection[str] = SPLITS) -> list[Stream]:
        """What a run reads for one style, or for some of its splits.

        Raises:
            ConfigError: a source does not have the style.
            DataError: a source cannot be read.
        """
        found: list[Stream] = []
        for index, part in enumerate(self.settings.parts):
            if part.name == MIXTURE:
                found += self._mixture(index, part, style) if IN_MIXTURE.intersection(splits) else ()
            elif part.name == FACTS:
                read = tuple(split for split in SPLITS if split in splits)
                found.append(FactsStream(asking=self.asking(style), part=index, limits=self.facts_limits, splits=read))
            else:
                found += [
                    SourceStream(source=source, role=role, asking=self.asking(style), part=index)
                    for source in self.of_part(part, style)
                    for role in self.roles(part, style, source)
                ]
        return [stream for stream in found if stream.possible_splits.intersection(splits)]

    def evaluation_streams(self, style: str, name: str) -> list[Stream]:
        """What an evaluation set that is no part of the dataset reads; all of its rows get its name as their split.

        Raises:
            ConfigError: a source does not have the style.
            DataError: a source cannot be read.
        """
        found: list[Stream] = []
        asking = self.asking(style)
        for index, part in enumerate(self.settings.parts):
            if part.name == FACTS:
                limits = {} if part.limit is None else {TEST: part.limit}
                found.append(FactsStream(asking=asking, part=index, limits=limits, splits=(TEST,), as_split=name))
            else:
                found += [
                    SourceStream(source=source, role=source.evaluation_role, asking=asking, part=index, as_split=name)
                    for source in self.of_part(part, style)
                ]
        return found

    def of_part(self, part: SourcePart, style: str) -> list[OpenSource]:
        """The opened sources of a part.

        Raises:
            ConfigError: one of them does not have the style.
        """
        found = [self.sources[name] for name in self.members(part, style)]
        for source in found:
            source.words.words(style)
            if part.name != MIXTURE and not self.roles(part, style, source):
                raise ConfigError(f"source: {part.name} is in {MIXTURE} already and has no test rows; name it once")
        return found

    @cached_property
    def only_facts(self) -> bool:
        """Whether the facts are the only part: then they are limited as they always were, by their own order."""
        return [part.name for part in self.settings.parts] == [FACTS]

    @property
    def facts_limits(self) -> dict[str, int]:
        """Limits that the facts see to themselves, by split."""
        if not self.only_facts:
            return {}
        limits = dict(self.settings.limits)
        (part,) = self.settings.parts
        if part.limit is not None:
            limits = {split: min(limits.get(split, part.limit), part.limit) for split in SPLITS}
        return limits

    def _open(self, name: str) -> OpenSource:
        settings = self.settings
        if name.startswith("file:"):
            return open_file(Path(name.removeprefix("file:")), settings.columns, self.seed)
        if name.startswith("hub:"):
            return open_dataset(name.removeprefix("hub:"), settings.columns, self.seed, settings.data_root)
        in_mixture = any(part.name == MIXTURE for part in settings.parts)
        deals = not (settings.paper_exact and in_mixture)
        return OpenHubSource(hub_source(name), settings.data_root, self.seed, settings.paper_exact, deals)

    def _mixture(self, index: int, part: SourcePart, style: str) -> list[Stream]:
        """Train rows are each source's first, so many of each; validation rows are drawn from all sources."""
        n_train = min(part.limit or TRAIN_ROWS, TRAIN_ROWS)
        n_validation = min(part.limit or VALIDATION_ROWS, VALIDATION_ROWS)
        exact = self.settings.paper_exact
        train = self._roles(part, style, TRAIN, index, IN_TRAIN)
        sizes = {stream.label: _count(stream, n_train) for stream in train}
        quotas = paper_train_quotas(sizes, n_train) if exact else even_quotas(sizes, n_train)
        found: list[Stream] = [_first(stream, quotas[stream.label]) for stream in train]
        validation = self._roles(part, style, "validation", index, IN_VALIDATION)
        if exact:
            chosen = paper_validation(
                {stream.label: _count(stream) for stream in validation}, self.seed, n_train, n_validation
            )
            counts = [sum(name == stream.label for name, _ in chosen) for stream in validation]
            firsts = tuple(_first(stream, n) for stream, n in zip(validation, counts, strict=True))
            return [*found, PermutedStreams(streams=firsts, seed=self.seed, part=index)]
        dealt = [s for s in train if isinstance(s.source, OpenHubSource) and s.source.deals_train]
        return [
            *found,
            *(_even(stream, n_validation) for stream in validation),
            *(_even(_validating(stream, quotas[stream.label]), n_validation) for stream in dealt),
        ]

    def _roles(self, part: SourcePart, style: str, role: str, index: int, takes: frozenset[str]) -> list[SourceStream]:
        return [
            SourceStream(source=source, role=role, asking=self.asking(style), part=index, takes=takes)
            for source in self.of_part(part, style)
            if role in source.roles
        ]


def set_streams(plan: Plan, question_set: QuestionSet, style: str) -> list[Stream]:
    """What the questions of a set are drawn from."""
    if question_set.from_elsewhere:
        return plan.evaluation_streams(style, question_set.name)
    return plan.streams(style, question_set.splits)


def _candidates(stream: SourceStream) -> Iterator[Candidate]:
    return (event for event in stream.events() if isinstance(event, Candidate))


def _count(stream: SourceStream, at_most: int | None = None) -> int:
    return sum(1 for _ in islice(_candidates(stream), at_most))


def _first(stream: SourceStream, n: int) -> SourceStream:
    return replace(stream, first=n)


def _even(stream: SourceStream, total: int) -> SourceStream:
    return replace(stream, even_total=total)


def _validating(stream: SourceStream, n_train: int) -> SourceStream:
    """The rows of a train split that are set apart for validation; of the others ``n_train`` are train rows."""
    return replace(stream, takes=IN_VALIDATION, taken_elsewhere=n_train)
