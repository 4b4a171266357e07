"""Your own questions, opened: a file, or a dataset on the hub that no declaration knows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from raycalib.errors import DataError
from raycalib.hashing import stable_hash, text_hash
from raycalib.sources.dealing import TRAIN_SHARES, VALIDATION_SHARES, WHOLE_SHARES, deal
from raycalib.sources.facts.splits import HELDOUT, SPLITS, TEST, TRAIN
from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.hub.columns import fixed, number
from raycalib.sources.hub.declaration import HubSource, OpenEndedText, StyleText
from raycalib.sources.hub.item import Item, Refusal, UnusableRowError
from raycalib.sources.hub.loading import hub_splits, hub_table, local_splits, one_file
from raycalib.sources.own.columns import LEFT_OUT, ColumnNames, OwnColumns, find_columns
from raycalib.sources.own.conversion import VALIDATION, VALIDATION_NAMES, convert_own_rows, split_of_row
from raycalib.sources.own.peek import PEEKED_ROWS, Peek, peek
from raycalib.sources.reading import Table, local_table

WHOLE = "all"
"""The role of rows that come without splits."""

POOL_ROWS = 4096
"""Few-shot examples come from the first so many train rows, so that a file of any size can have them."""


@dataclass(frozen=True)
class OpenOwnSource:
    """Questions whose columns are found or named; see ``open_source.OpenSource``.

    Attributes:
        label: ``file:NAME`` or ``hub:ORG/NAME[:CONFIG]``.
        default_task: of rows without a task.
        tables: from ``train``, ``validation``, ``test`` or ``all`` to the rows.
        columns: which hold what.
        seed: of the dealing.
    """

    label: str
    default_task: str
    tables: Mapping[str, Table]
    columns: OwnColumns
    seed: int

    @cached_property
    def words(self) -> HubSource:
        """The plain words of both styles."""
        return HubSource(
            name=self.label,
            hub_id="own/questions",
            splits={TRAIN: TRAIN},
            shots_from=TRAIN,
            choice=StyleText(
                context="{context_section}Question:\n{question}",
                intro="The following are questions (with multiple-choice answers).",
            ),
            oe=OpenEndedText(
                context="{context_line}Question: {question}",
                intro="The following are questions (with answers).",
                target="{answer}",
            ),
            options=fixed(),
            answer=number("answer_index"),
        )

    @property
    def roles(self) -> tuple[str, ...]:
        """The splits that have a table."""
        return tuple(self.tables)

    @property
    def run_roles(self) -> tuple[str, ...]:
        """All of them."""
        return self.roles

    def place(self, role: str) -> str:
        """The file, or the hub's dataset and split."""
        return self.tables[role].place

    def read(self, role: str) -> Iterator[Item | Refusal]:
        """What each row becomes; only the columns needed are read, and that of splits only where the rows have none."""
        split = self.columns.split if role == WHOLE else None
        columns = replace(self._peek.told(self.columns), split=split)
        return convert_own_rows(columns, self._rows(role, columns.used()))

    def _rows(self, role: str, columns: Sequence[str]) -> Iterator[RawRow]:
        """Rows with the columns named, and with those that an inner field such as ``options.text`` is in."""
        return self.tables[role].rows(list(dict.fromkeys(n for name in columns for n in (name, name.split(".")[0]))))

    @cached_property
    def _peek(self) -> Peek:
        """What the first rows of the first table tell."""
        rows = self._rows(next(iter(self.tables)), self.columns.used())
        return peek(self.columns, islice(rows, PEEKED_ROWS))

    def split_of(self, role: str, item: Item) -> str:
        """The split that the row names; else rows are dealt by a hash of their question or context, and the seed."""
        named = item.texts["split"] if role == WHOLE else ""
        if VALIDATION in (role, named):
            return deal(VALIDATION_SHARES, self.seed, _subject(item))
        if named == TRAIN and self._deals_train:
            return deal(TRAIN_SHARES, self.seed, _subject(item))
        if named or role == TEST:
            return named or TEST
        if role == WHOLE or set(self.tables) == {TRAIN}:
            return deal(WHOLE_SHARES, self.seed, _subject(item))
        return TRAIN if VALIDATION in self.tables else deal(TRAIN_SHARES, self.seed, _subject(item))

    def possible_splits(self, role: str) -> frozenset[str]:
        """See ``OpenSource``."""
        if role == WHOLE or set(self.tables) == {TRAIN}:
            return frozenset(SPLITS)
        validation = frozenset(name for name, _ in VALIDATION_SHARES)
        if role == VALIDATION:
            return validation
        return frozenset({role}) if role == TEST or VALIDATION in self.tables else validation | {TRAIN}

    @property
    def evaluation_role(self) -> str:
        """The whole, or the test rows, or else those for validation, or else the others."""
        return next(role for role in (WHOLE, TEST, VALIDATION, TRAIN) if role in self.tables)

    def is_evaluated(self, role: str, item: Item) -> bool:
        """Where rows of a file name the split test, these alone; else all."""
        return role != WHOLE or not self._names_test or item.texts["split"] in (TEST, HELDOUT)

    @cached_property
    def _names_test(self) -> bool:
        return bool({TEST, HELDOUT} & self._named_splits)

    @cached_property
    def _named_splits(self) -> frozenset[str]:
        """The splits that rows name, an empty one where a row names none; nothing where no column is for that."""
        if WHOLE not in self.tables or self.columns.split is None:
            return frozenset()
        named = set[str]()
        for row in self._rows(WHOLE, [self.columns.split]):
            if row.fault:
                continue
            try:
                named.add(split_of_row(row.values, self.columns))
            except UnusableRowError:
                continue
        return frozenset(named)

    @cached_property
    def _deals_train(self) -> bool:
        """Whether every row names train or test, and there are both: then some of the train rows validate."""
        return (
            TRAIN in self._named_splits and len(self._named_splits) > 1 and self._named_splits <= {TRAIN, TEST, HELDOUT}
        )

    def has_style(self, style: str, item: Item) -> bool:
        """A row without options has no ``choice`` question."""
        return style != "choice" or bool(item.options)

    def task(self, item: Item) -> str:
        """The row's task, or the file's name without its ending."""
        return item.texts["task"] or self.default_task

    def group(self, item: Item) -> str:
        """Rows with one context; without a context, those with one question."""
        return text_hash(_subject(item))

    def identity(self, role: str, split: str) -> tuple[str, ...]:
        """Of a file, not its name: a renamed file keeps its row_ids."""
        return ("file", split) if WHOLE in self.tables else (self.label, role)

    def pool(self) -> Sequence[Item]:
        """The first items that go to ``train``."""
        return self._pool

    @cached_property
    def _pool(self) -> tuple[Item, ...]:
        role = WHOLE if WHOLE in self.tables else TRAIN
        items = (found for found in self.read(role) if isinstance(found, Item)) if role in self.tables else iter(())
        return tuple(islice((item for item in items if self.split_of(role, item) == TRAIN), POOL_ROWS))

    def fingerprint(self) -> str:
        """Of the rows' files and of how they are read."""
        tables = [self.tables[role].fingerprint() for role in sorted(self.tables)]
        return tables[0] if WHOLE in self.tables else stable_hash(self.label, tables)

    def describe(self) -> str:
        """Which column is read as what, and what looks wrong in the first rows."""
        return f"{self.label}: {'; '.join([self.columns.describe(), *self._peek.notes(self.columns)])}"


def open_file(path: Path, named: ColumnNames, seed: int) -> OpenOwnSource:
    """A file of questions.

    Raises:
        DataError: it cannot be read, or a column is missing.
    """
    table = local_table(path)
    names = table.columns()
    if not names and next(table.rows(None), None) is None:
        raise DataError(f"source: {path} has no rows")
    columns = find_columns(table.place, names, named)
    return OpenOwnSource(f"file:{path.name}", path.stem, {WHOLE: table}, columns, seed)


def open_dataset(name: str, named: ColumnNames, seed: int, data_root: str | None = None) -> OpenOwnSource:
    """A dataset on the hub, ``ORG/NAME[:CONFIG]``, or its copy in ``data_root/ORG/NAME[/CONFIG]``.

    Raises:
        DataError: it cannot be read, has no split of a known name, or lacks a column.
    """
    label = f"hub:{name}"
    hub_id, _, config = name.partition(":")
    directory = None if data_root is None else Path(data_root).joinpath(*hub_id.split("/"), *filter(None, [config]))
    splits = hub_splits(label, hub_id, config or None) if directory is None else local_splits(directory)
    tables: dict[str, Table] = {}
    for role, hub_split in _roles(splits).items():
        if directory is None:
            tables[role] = hub_table(label, hub_id, config or None, None, hub_split)
        else:
            tables[role] = local_table(one_file(label, directory, hub_split, "check --data-root"))
    if not tables:
        where = directory or "the hub"
        raise DataError(
            f"source {label}: {where} has the splits {', '.join(splits) or 'none'}; needed: train, validation or test"
        )
    first = next(iter(tables.values()))
    columns = find_columns(first.place, first.columns(), replace(named, split=LEFT_OUT))
    return OpenOwnSource(label, name, tables, columns, seed)


def _roles(splits: Sequence[str]) -> dict[str, str]:
    found = {TRAIN: TRAIN, TEST: TEST}
    validation = next((name for name in VALIDATION_NAMES if name in splits), None)
    if validation:
        found[VALIDATION] = validation
    return {role: found[role] for role in (TRAIN, VALIDATION, TEST) if found.get(role) in splits}


def _subject(item: Item) -> str:
    return item.texts["context_line"] or item.texts["question"]
