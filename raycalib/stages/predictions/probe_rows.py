"""Features and labels that a probe is fitted on and chosen by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raycalib.errors import DataError
from raycalib.stages.predictions.evidence import Evidence
from raycalib.tuning.feature_store import FeatureStore
from raycalib.tuning.label_counts import LabelCounts
from raycalib.tuning.row_chunks import drawing_order

FITTED_ON, CHOSEN_BY = "train", "val_select"
PROBE_COLUMNS = ("query_label",)
"""What is needed of a labelled answer beside its id and split."""

DRAWN_AT_ONCE = 4096


@dataclass(frozen=True)
class ProbeRows:
    """Rows of a split that have a label and features.

    Attributes:
        row_ids: n of them.
        features: (n, H) float32, in memory or mapped.
        labels: (n,) int64, 0 or 1.
    """

    row_ids: pa.ChunkedArray
    features: np.ndarray
    labels: np.ndarray

    def drawn(self, n: int) -> "ProbeRows":
        """So many of them, in their order: those of fewer are among those of more; 0 is all."""
        if not 0 < n < len(self.labels):
            return self
        kept, store = sorted(drawing_order(self.row_ids.to_pylist())[:n]), FeatureStore()
        for start in range(0, n, DRAWN_AT_ONCE):
            store.add(self.features[kept[start : start + DRAWN_AT_ONCE]])
        return ProbeRows(self.row_ids.take(pa.array(kept)), store.matrix(), self.labels[kept])


class ProbeSplit:
    """Takes the rows of one split out of blocks of evidence, and keeps what a probe needs of them."""

    def __init__(self, split: str) -> None:
        self._split, self._features = split, FeatureStore()
        self._ids, self._labels = list[pa.Array](), [np.zeros(0, dtype=np.int64)]

    def add(self, block: Evidence) -> None:
        """Takes those that have a label and features."""
        labels, splits = block.values("query_label"), block.values("split")
        kept = [i for i in block.usable.tolist() if splits[i] == self._split and labels[i] is not None]
        if kept:
            self._ids += block.table["row_id"].take(pa.array(kept)).chunks
            self._labels.append(np.array([labels[i] for i in kept], dtype=np.int64))
            self._features.add(block.features[kept])

    def rows(self) -> ProbeRows:
        """All of them, in order."""
        ids = pa.chunked_array(self._ids, pa.string())
        return ProbeRows(ids, self._features.matrix(), np.concatenate(self._labels))


class ProbeSets:
    """Takes the rows that a probe is fitted on and those that it is chosen by."""

    def __init__(self) -> None:
        self._train, self._val = ProbeSplit(FITTED_ON), ProbeSplit(CHOSEN_BY)

    def add(self, block: Evidence) -> None:
        """Takes what is of either."""
        self._train.add(block)
        self._val.add(block)

    def rows(self, train_rows: int = 0) -> tuple[ProbeRows, ProbeRows]:
        """Rows of ``train``, at most so many (0 is all), and of ``val_select``.

        Raises:
            DataError: labels of one class alone, or none: a probe needs both to be fitted, and to be selected.
        """
        train, val = self._train.rows().drawn(train_rows), self._val.rows()
        named: Sequence[tuple[ProbeRows, str]] = ((train, "training labels"), (val, "labels of val_select"))
        for part, name in named:
            if reason := LabelCounts.of(part.labels).nothing_said(f"{name} with features"):
                raise DataError(reason)
        return train, val
