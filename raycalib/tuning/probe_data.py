"""What probes are fitted on, prepared once for any number of fits."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from raycalib.errors import DataError
from raycalib.metrics.array_checks import check_labels
from raycalib.tuning.features import Features, check_finite, copied_rows

LEAST_SCALE = 1e-6
SUMMED_ROWS = 1024


@dataclass(frozen=True, kw_only=True)
class ProbeData:
    """Standardized features with their labels.

    Attributes:
        x: (n, H) float32 training features, minus ``mean``, over ``scale``.
        y: (n,) int64 labels, 0 or 1.
        val_x: (m, H) float32 validation features, standardized in the same way.
        val_y: (m,) int64.
        mean: (H,) float32 means of the training features.
        scale: (H,) float32 standard deviations of the training features, at least 1e-6; ones where there is one row.
        release: lets go of the memory that features take which lie in a file.
    """

    x: torch.Tensor
    y: torch.Tensor
    val_x: torch.Tensor
    val_y: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    release: Callable[[], object] = lambda: None


def prepare_probe_data(
    features: Features, labels: np.ndarray, val_features: Features, val_labels: np.ndarray
) -> ProbeData:
    """Copies both sets once, as float32, and standardizes the copies in place; large ones in temporary files.

    Args:
        features: (n, H), of any float type; memory maps are read once.
        labels: (n,) 0 or 1.
        val_features: (m, H).
        val_labels: (m,) 0 or 1.

    Raises:
        DataError: an empty set, shapes that do not fit, a label other than 0 and 1, NaN or infinite features.
    """
    if not len(features) or not len(val_features):
        raise DataError(f"probe: {len(features)} training and {len(val_features)} validation rows; needs both")
    _check_shapes(features, labels, "training")
    _check_shapes(val_features, val_labels, "validation")
    if features.shape[1] != val_features.shape[1]:
        raise DataError(
            f"probe: training features have {features.shape[1]} columns and validation features "
            f"{val_features.shape[1]}; take both from the same model"
        )
    y, val_y = check_labels(labels, "probe: training labels"), check_labels(val_labels, "probe: validation labels")
    train, val = copied_rows(features), copied_rows(val_features)
    x, val_x = torch.from_numpy(train.array), torch.from_numpy(val.array)
    check_finite(x, "training", train.release)
    check_finite(val_x, "validation", val.release)
    mean, scale = _standardize(x, train.release)
    for block in val_x.split(SUMMED_ROWS):
        block.sub_(mean).div_(scale)
        val.release()
    return ProbeData(
        x=x,
        y=torch.from_numpy(y),
        val_x=val_x,
        val_y=torch.from_numpy(val_y),
        mean=mean,
        scale=scale,
        release=lambda: (train.release(), val.release()),
    )


def _check_shapes(features: Features, labels: np.ndarray, name: str) -> None:
    if features.ndim != 2 or len(features) != len(labels):
        raise DataError(
            f"probe: {name} features of shape {tuple(features.shape)} and {len(labels)} labels; "
            "needs one row of features per label"
        )


def _standardize(x: torch.Tensor, release: Callable[[], object]) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardizes in place and returns mean and scale.

    Sums are float64, so that a constant feature's mean is its value and the feature becomes 0: over the least scale,
    the rounding of a float32 mean would come out of the size of a real feature.
    """
    total = torch.zeros(x.shape[1], dtype=torch.float64)
    for block in x.split(SUMMED_ROWS):
        total += block.sum(dim=0, dtype=torch.float64)
        release()
    mean = (total / len(x)).float()
    squares = torch.zeros_like(total)
    for block in x.split(SUMMED_ROWS):
        squares += block.sub_(mean).square().sum(dim=0, dtype=torch.float64)
        release()
    if len(x) == 1:
        return mean, torch.ones_like(mean)
    scale = (squares / (len(x) - 1)).sqrt().float().clamp(min=LEAST_SCALE)
    for block in x.split(SUMMED_ROWS):
        block.div_(scale)
        release()
    return mean, scale
