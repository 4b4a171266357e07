"""A declared source, opened: from its splits to items, and from items to the run's splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from raycalib.errors import DataError
from raycalib.hashing import stable_hash, text_hash
from raycalib.sources.dealing import TRAIN_SHARES, VALIDATION_SHARES, deal
from raycalib.sources.facts.splits import HELDOUT, TEST, TRAIN
from raycalib.sources.hub.conversion import convert_rows
from raycalib.sources.hub.declaration import HubSource
from raycalib.sources.hub.declared_as import declared
from raycalib.sources.hub.item import Item, Refusal
from raycalib.sources.hub.loading import open_split
from raycalib.sources.reading import Table


@dataclass(frozen=True)
class OpenHubSource:
    """One declared source, read from the data root or from the hub; see ``open_source.OpenSource``.

    Attributes:
        words: its declaration.
        data_root: directory of local copies; None asks the hub.
        seed: of options' orders and of dealing.
        paper_exact: read rows as the paper's code does.
        deals: a source without validation rows gives some of its train rows.
    """

    words: HubSource
    data_root: str | None = None
    seed: int = 0
    paper_exact: bool = False
    deals: bool = True

    @property
    def label(self) -> str:
        """Its name."""
        return self.words.name

    @property
    def roles(self) -> tuple[str, ...]:
        """The splits that it declares."""
        return tuple(self.words.splits)

    @property
    def run_roles(self) -> tuple[str, ...]:
        """All its splits; of a source for evaluation only the test rows."""
        return (TEST,) if self.words.evaluation_only else self.roles

    def place(self, role: str) -> str:
        """The file, or the hub's dataset and split."""
        return self._table(self.words.splits[role]).place

    def read(self, role: str) -> Iterator[Item | Refusal | None]:
        """What each row of a split becomes."""
        return self._converted(self.words.splits[role])

    def split_of(self, role: str, item: Item) -> str:
        """Validation rows are dealt to ``val_select`` and ``val_calibrate``; evaluation-only rows are held out."""
        if self.words.evaluation_only:
            return HELDOUT
        if role == "validation":
            return deal(VALIDATION_SHARES, self.seed, self.group(item))
        if role == TRAIN and self.deals_train:
            return deal(TRAIN_SHARES, self.seed, self.group(item))
        return role

    def possible_splits(self, role: str) -> frozenset[str]:
        """See ``OpenSource``."""
        if self.words.evaluation_only:
            return frozenset({HELDOUT})
        validation = frozenset(name for name, _ in VALIDATION_SHARES)
        if role == "validation":
            return validation
        return validation | {TRAIN} if role == TRAIN and self.deals_train else frozenset({role})

    @property
    def evaluation_role(self) -> str:
        """The test rows, or else those for validation, or else the others."""
        return next(role for role in (TEST, "validation", TRAIN) if role in self.words.splits)

    def is_evaluated(self, role: str, item: Item) -> bool:
        """All are."""
        return True

    @property
    def deals_train(self) -> bool:
        """Whether some of the train rows validate."""
        return self.deals and "validation" not in self.words.splits and not self.words.evaluation_only

    def has_style(self, style: str, item: Item) -> bool:
        """Every row has all styles of its source."""
        return True

    def task(self, item: Item) -> str:
        """The source's name."""
        return self.words.name

    def group(self, item: Item) -> str:
        """Rows about one text, where the source has such; else each question is its own group."""
        if self.words.group_by is None:
            return text_hash(self.words.name, *item.texts.values(), *sorted(item.options))
        return text_hash(self.words.name, item.texts[self.words.group_by])

    def identity(self, role: str, split: str) -> tuple[str, ...]:
        """The source and its own split: the same however rows are dealt."""
        return "hub", self.words.name, role

    def pool(self) -> Sequence[Item]:
        """All items of the split that the declaration takes examples from, but those that are set apart to validate."""
        return self._pool

    @cached_property
    def _pool(self) -> tuple[Item, ...]:
        items = (found for found in self._converted(self.words.shots_from) if isinstance(found, Item))
        if self.deals_train and not self.paper_exact and self.words.splits.get(TRAIN) == self.words.shots_from:
            items = (item for item in items if self.split_of(TRAIN, item) == TRAIN)
        return tuple(items)

    def place_of_pool(self) -> str:
        """Where few-shot examples are, for messages."""
        return self._table(self.words.shots_from).place

    def fingerprint(self) -> str:
        """Of the declaration and of the rows' files or revision."""
        splits = sorted({*self.words.splits.values(), self.words.shots_from})
        return stable_hash(declared(self.words), [self._split_fingerprint(hub_split) for hub_split in splits])

    def _split_fingerprint(self, hub_split: str) -> str:
        try:
            return self._table(hub_split).fingerprint()
        except DataError:  # a copy without the split that only few-shot examples come from
            return "absent"

    def describe(self) -> str:
        """Nothing: the columns are declared."""
        return ""

    def _converted(self, hub_split: str) -> Iterator[Item | Refusal | None]:
        rows = self._table(hub_split).rows(None)
        return convert_rows(self.words, rows, seed=self.seed, paper_exact=self.paper_exact)

    def _table(self, hub_split: str) -> Table:
        return open_split(self.words, hub_split, self.data_root)
