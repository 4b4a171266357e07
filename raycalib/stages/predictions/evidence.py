"""Labelled answers of one model and style, joined with what the base model says and holds about them, in blocks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raycalib.errors import DataError
from raycalib.records import QUERY_LOGITS
from raycalib.stages.combo import SetRows
from raycalib.stages.output import StageOutput
from raycalib.storage.ahead import in_order
from raycalib.storage.tables import at_once_of, read_table, sizes_of, vectors_of
from raycalib.tuning.probe import MARGIN_ROWS

LOGITS = [field.name for field in QUERY_LOGITS]
FEATURE = "feature"
SAME = ["row_id", "answer"]
"""Of a labelled answer and its features: ids may occur twice, and answers that were made again may differ."""

BLOCK_ROWS = MARGIN_ROWS
"""Rows with features of a block. A probe's last bits hang on how many rows it reads at once: these are as many."""

MOST_BLOCK_ROWS = 16 * BLOCK_ROWS
"""Rows of a block, where few have features."""


@dataclass(frozen=True)
class Evidence:
    """Rows with their query logits, and their features.

    Attributes:
        table: n labelled answers with ``logit_no`` and ``logit_yes``.
        features: (n, H) float32 last hidden states; NaN where a row has none, and H is 0 where none are read.
    """

    table: pa.Table
    features: np.ndarray

    @cached_property
    def is_usable(self) -> np.ndarray:
        """(n,) whether a row has features, all of them finite."""
        if not self.features.shape[1]:
            return np.zeros(len(self.features), dtype=bool)
        finite: np.ndarray = np.isfinite(self.features).all(axis=1)
        return finite

    @property
    def usable(self) -> np.ndarray:
        """(k,) indices of the rows that have features, all of them finite."""
        return np.flatnonzero(self.is_usable)

    def values(self, column: str) -> list[Any]:
        """A column's values; None where a row has none."""
        values: list[Any] = self.table[column].to_pylist()
        return values

    def rows(self, *columns: str) -> list[dict[str, Any]]:
        """Some columns as rows."""
        rows: list[dict[str, Any]] = self.table.select(list(columns)).to_pylist()
        return rows

    def cut(self, n: int) -> tuple["Evidence", "Evidence"]:
        """The first so many rows, and the others; copies, so that neither keeps the other in memory."""
        return (
            Evidence(self.table.slice(0, n), self.features[:n].copy()),
            Evidence(self.table.slice(n), self.features[n:].copy()),
        )


@dataclass(frozen=True, kw_only=True)
class EvidenceSource:
    """Two stages of the same answers, of which blocks are read.

    Attributes:
        labelled, features: the stages.
        style: of the rows that count.
        columns: of the labelled answers, beside their ids and answers.
        splits: of the rows that count; None is all.
    """

    labelled: StageOutput
    features: StageOutput
    style: str
    columns: Sequence[str]
    splits: Sequence[str] | None = None

    def blocks(self, with_features: bool) -> Iterator[Evidence]:
        """Joins the two stages shard by shard; both were made from the same answers, so their rows pair up.

        What is held at once is one block and a few shards, however many there are.

        Args:
            with_features: reads the hidden states, which are nearly all of what is stored.

        Raises:
            DataError: they do not pair up.
        """
        of_labels, of_features = self.labelled.shards, self.features.shards
        if len(of_labels) != len(of_features):
            raise DataError(
                f"{self.features.place.uri} has {len(of_features)} shards, {self.labelled.place.uri} "
                f"{len(of_labels)}; delete one of the two and run again"
            )
        read = self._reader(with_features)
        pairs = zip(of_labels, of_features, strict=True)
        shards = in_order(read, pairs, at_once_of(self.labelled.place, self.features.place))
        return _blocks((shard for shard in shards if shard is not None), with_features)

    def _reader(self, with_features: bool) -> Callable[[tuple[str, str]], Evidence | None]:
        """Reads the rows that count of a pair of shards; None where there are none."""
        labelled, features = self.labelled, self.features
        label_sizes, feature_sizes = (sizes_of(output.place, output.shards) for output in (labelled, features))
        columns = list(dict.fromkeys([*SAME, "style", "split", *self.columns]))
        of_features = [*SAME, *LOGITS, *([FEATURE] if with_features else [])]

        def read(names: tuple[str, str]) -> Evidence | None:
            labels = read_table(labelled.place, names[0], columns, label_sizes.get(names[0]))
            kept = self._kept(labels)
            if not kept.any():
                return None
            held = read_table(features.place, names[1], of_features, feature_sizes.get(names[1]))
            uri = (features.place / names[1]).uri
            if not labels.select(SAME).equals(held.select(SAME)):
                raise DataError(
                    f"{uri} does not hold the rows of {(labelled.place / names[0]).uri}; delete it and run again"
                )
            vectors = np.zeros((len(labels), 0), dtype=np.float32)
            if with_features:
                vectors = vectors_of(held[FEATURE], f"{uri}: the vectors in {FEATURE!r}")
            for name in LOGITS:
                labels = labels.append_column(held.schema.field(name), held[name])
            return Evidence(labels, vectors) if kept.all() else Evidence(labels.filter(kept), vectors[kept])

        return read

    def _kept(self, labels: pa.Table) -> np.ndarray:
        kept = pc.equal(labels["style"], self.style)
        if self.splits is not None:
            kept = pc.and_(kept, pc.is_in(labels["split"], value_set=pa.array(self.splits, pa.string())))
        found: np.ndarray = kept.to_numpy().astype(bool)
        return found


def evidence_of(
    rows: SetRows, style: str, columns: Sequence[str], splits: Sequence[str] | None = None
) -> EvidenceSource:
    """The labelled answers of a set, and what the base model says and holds of them."""
    return EvidenceSource(
        labelled=rows.labelled,
        features=rows.features,
        style=style,
        columns=columns,
        splits=None if splits is None else tuple(splits),
    )


def _blocks(shards: Iterator[Evidence], with_features: bool) -> Iterator[Evidence]:
    """The rows of all shards, ``BLOCK_ROWS`` of those that have features at a time."""
    held, n_usable, n_rows = list[Evidence](), 0, 0
    for shard in shards:
        held.append(shard)
        n_usable += int(shard.is_usable.sum())
        n_rows += len(shard.table)
        while n_usable >= BLOCK_ROWS or n_rows >= MOST_BLOCK_ROWS:
            whole = _joined(held)
            place = min(n_rows, MOST_BLOCK_ROWS)
            if n_usable >= BLOCK_ROWS:
                place = min(place, int(whole.usable[BLOCK_ROWS - 1]) + 1)
            block, rest = whole.cut(place)
            yield block
            held, n_usable, n_rows = [rest], int(rest.is_usable.sum()), len(rest.table)
    if n_rows:
        yield _joined(held)


def _joined(parts: Sequence[Evidence]) -> Evidence:
    """One block; a shard without any feature has no width of its own."""
    width = max(part.features.shape[1] for part in parts)
    wide = [
        part.features if part.features.shape[1] else np.full((len(part.features), width), np.nan, dtype=np.float32)
        for part in parts
    ]
    return Evidence(pa.concat_tables([part.table for part in parts]).combine_chunks(), np.concatenate(wide))
