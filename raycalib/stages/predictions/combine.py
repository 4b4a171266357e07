"""``combined`` among the methods: fitted where all others have their predictions on ``val_calibrate``. No Ray."""

from collections.abc import Mapping, Sequence

import numpy as np

from raycalib.errors import DataError
from raycalib.evaluation.methods import COMBINED, TRAINED
from raycalib.stages.combo import Method
from raycalib.stages.predictions.evidence import Evidence
from raycalib.stages.predictions.method_logits import Predictor, margins_of
from raycalib.storage import Location
from raycalib.tuning.combined import Combined, fit_combined, fitting_half
from raycalib.tuning.combined_files import save_combined


class CombinedFit:
    """Weights that are fitted when the rows are shown.

    Attributes:
        combined: None where there are none.
        reason: why there are none; empty where there are.
    """

    def __init__(self, signals: Sequence[str]) -> None:
        """With the names of the methods that are combined."""
        self.signals = tuple(signals)
        self.combined: Combined | None = None
        self.reason = "not fitted"

    @property
    def predictor(self) -> Predictor:
        """Fits on one half of the rows that it is shown, all at once, and speaks of the other half alone."""
        return Predictor(log_odds=self._log_odds, signals=self.signals)

    def _log_odds(self, block: Evidence) -> list[float | None]:
        margins = margins_of(block, self.signals)
        labels = [-1 if label is None else label for label in block.values("query_label")]
        fits = fitting_half(block.values("group"))
        usable = fits & np.isfinite(margins).all(axis=1) & (np.array(labels, dtype=np.int64) >= 0)
        try:
            self.combined = fit_combined(self.signals, margins[usable], np.array(labels)[usable])
        except DataError as error:
            self.reason = f"not fitted: {error}"
            return [None] * len(fits)
        self.reason = ""
        said = self.combined.log_odds(margins)
        return [None if fitted else value for fitted, value in zip(fits.tolist(), said.tolist(), strict=True)]

    def save(self, place: Location) -> dict[str, str]:
        """Writes the weights where there are some; the hole where there are none."""
        if self.combined is None:
            return {COMBINED: self.reason}
        save_combined(place, self.combined)
        return {}


def signals_among(methods: Sequence[Method], reasons: Mapping[str, str]) -> list[str]:
    """Names of the tuned methods that have predictions."""
    return [method.name for method in methods if method.name in TRAINED and not reasons[method.name]]
