"""What a method predicts: log-odds and a confidence per row, or a reason why it has none."""

from collections.abc import Sequence
from dataclasses import dataclass
import math

import pyarrow as pa

from raycalib.records import PREDICTION

KEPT = [name for name in PREDICTION.names if name not in ("method", "logit", "p_correct")]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Predictions of one method under one name; a shard.

    Attributes:
        name: in tables.
        temperature: T, by which log-odds are divided; None leaves them as they are.
        shift: that is added then.
        reason: why all rows are without a confidence: a hole in the tables; empty where they are not.
    """

    name: str
    temperature: float | None = None
    shift: float = 0.0
    reason: str = ""

    def predictions(self, rows: pa.Table, log_odds: Sequence[float | None]) -> pa.Table:
        """The records of some rows.

        Args:
            rows: n answers with the columns ``KEPT``.
            log_odds: of each; None is none, and so is what is not finite.
        """
        logits = [None] * len(rows) if self.reason else [self._logit(value) for value in log_odds]
        confidences = [None if logit is None else sigmoid(logit) for logit in logits]
        columns = [
            *(rows[name] for name in KEPT),
            pa.repeat(self.name, len(rows)),
            pa.array(logits, pa.float64()),
            pa.array(confidences, pa.float64()),
        ]
        return pa.table(columns, schema=PREDICTION)

    def _logit(self, value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        if self.temperature is None:
            return value
        scaled = value / self.temperature + self.shift
        return scaled if math.isfinite(scaled) else None


def sigmoid(logit: float) -> float:
    """1 / (1 + e^-x) without overflow."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))
