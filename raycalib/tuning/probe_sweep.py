"""Several fits on the same features, which are prepared once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from raycalib.tuning.features import Features
from raycalib.tuning.probe_data import prepare_probe_data
from raycalib.tuning.probe_fit import ProbeFit, fit_prepared
from raycalib.tuning.settings import ProbeSettings


@dataclass(frozen=True, kw_only=True)
class ProbeTrial:
    """One fit of a sweep.

    Attributes:
        settings: steps, batch size, learning rate.
        seed: of the weights and the order of rows.
    """

    settings: ProbeSettings = field(default_factory=ProbeSettings)
    seed: int = 0


def fit_probes(
    features: Features,
    labels: np.ndarray,
    val_features: Features,
    val_labels: np.ndarray,
    trials: Sequence[ProbeTrial],
) -> list[ProbeFit]:
    """One fit per trial, each equal to ``fit_probe`` with its settings and seed to the last bit.

    The best is ``min(fits, key=lambda fit: fit.best_nll)``, by the rows that also chose each fit's step; figures need
    others.

    Args:
        features: (n, H), in memory or mapped, of any float type.
        labels: (n,) 0 or 1.
        val_features: (m, H).
        val_labels: (m,) 0 or 1.
        trials: what to fit.

    Returns:
        The fits in the order of the trials.

    Raises:
        DataError: an empty set, shapes that do not fit, a label other than 0 and 1, NaN or infinite features.
        LossNotFiniteError: the loss of a trial became NaN or infinite, with the step and the rate.
    """
    data = prepare_probe_data(features, labels, val_features, val_labels)
    return [fit_prepared(data, trial.settings, trial.seed) for trial in trials]
