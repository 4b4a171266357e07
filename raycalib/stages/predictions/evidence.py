"""Labelled answers of one model and style, joined with what the base model says and holds about them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raycalib.errors import DataError
from raycalib.records import QUERY_LOGITS, Row
from raycalib.stages.output import StageOutput
from raycalib.storage import read_shard, read_vectors

LOGITS = [field.name for field in QUERY_LOGITS]
SAME = ["row_id", "answer"]
"""Of a labelled answer and its features: ids may occur twice, and answers that were made again may differ."""


@dataclass(frozen=True)
class Evidence:
    """Rows with their query logits, and their features.

    Attributes:
        rows: n labelled answers with ``logit_no`` and ``logit_yes``.
        features: (n, H) float32 last hidden states; NaN where a row has none.
    """

    rows: Sequence[Row]
    features: np.ndarray

    def of_splits(self, splits: Sequence[str]) -> "Evidence":
        """The rows of these splits alone."""
        kept = [number for number, row in enumerate(self.rows) if row["split"] in splits]
        return Evidence([self.rows[number] for number in kept], self.features[kept])

    def usable(self, splits: Sequence[str] | None = None) -> np.ndarray:
        """(k,) indices of the rows of these splits, or of all, that have features, all of them finite."""
        in_splits = np.array([splits is None or row["split"] in splits for row in self.rows], dtype=bool)
        if not self.features.shape[1]:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(in_splits & np.isfinite(self.features).all(axis=1))


def gather_evidence(labelled: StageOutput, features: StageOutput, style: str) -> Evidence:
    """Joins the two stages shard by shard; both were made from the same answers, so their rows pair up.

    Raises:
        DataError: they do not.
    """
    if len(labelled.shards) != len(features.shards):
        raise DataError(
            f"{features.place.uri} has {len(features.shards)} shards, {labelled.place.uri} {len(labelled.shards)}; "
            "delete one of the two and run again"
        )
    rows: list[Row] = []
    vectors: list[np.ndarray] = []
    for label_shard, feature_shard in zip(labelled.shards, features.shards, strict=True):
        of_shard = read_shard(labelled.place, label_shard)
        if not any(row["style"] == style for row in of_shard):
            continue
        scores = read_shard(features.place, feature_shard, [*SAME, *LOGITS])
        if [[row[name] for name in SAME] for row in of_shard] != [[score[name] for name in SAME] for score in scores]:
            raise DataError(
                f"{(features.place / feature_shard).uri} does not hold the rows of "
                f"{(labelled.place / label_shard).uri}; delete it and run again"
            )
        kept = [index for index, row in enumerate(of_shard) if row["style"] == style]
        rows += [of_shard[index] | {name: scores[index][name] for name in LOGITS} for index in kept]
        vectors.append(read_vectors(features.place, feature_shard, "feature")[kept])
    return Evidence(rows, _stacked(vectors))


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """One matrix; a shard without any feature has no width of its own."""
    width = max((part.shape[1] for part in parts), default=0)
    wide = [part if part.shape[1] else np.full((len(part), width), np.nan, dtype=np.float32) for part in parts]
    return np.concatenate(wide) if wide else np.zeros((0, 0), dtype=np.float32)
