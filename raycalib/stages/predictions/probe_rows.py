"""Features and labels that a probe is fitted on and chosen by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raycalib.errors import DataError
from raycalib.records import Row
from raycalib.stages.predictions.evidence import Evidence
from raycalib.tuning.label_counts import LabelCounts
from raycalib.tuning.row_chunks import drawing_order


@dataclass(frozen=True)
class ProbeRows:
    """Rows of a split that have a label and features.

    Attributes:
        rows: n of them.
        features: (n, H) float32.
        labels: (n,) int64, 0 or 1.
    """

    rows: Sequence[Row]
    features: np.ndarray
    labels: np.ndarray

    def drawn(self, n: int) -> "ProbeRows":
        """So many of them, in their order: those of fewer are among those of more; 0 is all."""
        if not 0 < n < len(self.rows):
            return self
        kept = sorted(drawing_order([row["row_id"] for row in self.rows])[:n])
        return ProbeRows([self.rows[place] for place in kept], self.features[kept], self.labels[kept])


def probe_rows(evidence: Evidence, train_rows: int = 0) -> tuple[ProbeRows, ProbeRows]:
    """Rows of ``train``, at most so many (0 is all), and of ``val_select``.

    Raises:
        DataError: labels of one class alone, or none: a probe needs both to be fitted, and to be selected.
    """
    train, val = _of_split(evidence, "train").drawn(train_rows), _of_split(evidence, "val_select")
    for part, name in ((train, "training labels"), (val, "labels of val_select")):
        if reason := LabelCounts.of(part.labels.tolist()).nothing_said(f"{name} with features"):
            raise DataError(reason)
    return train, val


def _of_split(evidence: Evidence, split: str) -> ProbeRows:
    kept = [i for i in evidence.usable((split,)) if evidence.rows[i]["query_label"] is not None]
    labels = np.array([evidence.rows[i]["query_label"] for i in kept], dtype=np.int64)
    return ProbeRows([evidence.rows[i] for i in kept], evidence.features[kept], labels)
