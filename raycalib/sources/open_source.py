"""What every source can do once it is opened: the drawing of questions knows nothing else of it."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from raycalib.sources.hub.declaration import HubSource
from raycalib.sources.hub.item import Item, Refusal

Converted = Item | Refusal | None
"""A row as a question, or why it is none; None for a row that belongs to another source."""


class OpenSource(Protocol):
    """A source of questions whose rows can be read again and again, in one order."""

    @property
    def label(self) -> str:
        """What the records' column ``source`` holds."""

    @property
    def words(self) -> HubSource:
        """The texts of its prompt styles."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Its own splits that have rows, of ``train``, ``validation``, ``test`` and ``all``."""

    @property
    def run_roles(self) -> tuple[str, ...]:
        """Those of them that a run takes rows from."""

    @property
    def evaluation_role(self) -> str:
        """Which of its own splits an evaluation set is taken from."""

    def place(self, role: str) -> str:
        """Where the rows of a split are, for messages."""

    def read(self, role: str) -> Iterator[Converted]:
        """What each row of a split becomes, in order."""

    def split_of(self, role: str, item: Item) -> str:
        """The run's split of an item."""

    def possible_splits(self, role: str) -> frozenset[str]:
        """The run's splits that rows of one of its own may go to, as far as that is known without reading them."""

    def is_evaluated(self, role: str, item: Item) -> bool:
        """Whether an evaluation set takes the item: all do, but of rows that name their split only those for that."""

    def has_style(self, style: str, item: Item) -> bool:
        """Whether the item can be asked in the style."""

    def task(self, item: Item) -> str:
        """What figures are broken down by."""

    def group(self, item: Item) -> str:
        """What is resampled and dealt together."""

    def identity(self, role: str, split: str) -> tuple[str, ...]:
        """What tells equal questions of two sources apart in their row_ids."""

    def pool(self) -> Sequence[Item]:
        """The items that few-shot examples are drawn from."""

    def fingerprint(self) -> str:
        """Changes when its questions do, as far as that can be known without reading them."""

    def describe(self) -> str:
        """One line on how its columns are read; empty where that is declared."""
