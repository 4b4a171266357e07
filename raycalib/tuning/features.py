"""Feature matrices as they come: in memory or mapped from a file, in single or half precision."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch

from raycalib.errors import DataError
from raycalib.tuning.feature_store import Rows, empty_rows

Features: TypeAlias = np.ndarray | torch.Tensor
"""(n, H) hidden states; numpy arrays include memory maps, and bfloat16 comes as a tensor."""

CHECKED_ROWS = 1024
COPIED_ROWS = 4096


def copied_rows(features: Features) -> Rows:
    """A float32 copy, (n, H), in memory or mapped by its size; memory maps are read once and cannot be written to."""
    rows = empty_rows(tuple(features.shape))
    for start in range(0, len(features), COPIED_ROWS):
        rows.array[start : start + COPIED_ROWS] = float32_rows(features[start : start + COPIED_ROWS]).numpy()
        rows.release()
    return rows


def float32_rows(features: Features) -> torch.Tensor:
    """A float32 copy in memory, (n, H)."""
    rows = torch.empty(tuple(features.shape), dtype=torch.float32)
    if isinstance(features, torch.Tensor):
        rows.copy_(features.detach())
    else:
        rows.numpy()[...] = features
    return rows


def check_finite(rows: torch.Tensor, name: str, release: Callable[[], object] = lambda: None) -> None:
    """Checks (n, H) float32 features.

    Args:
        rows: the features.
        name: of them, for an error.
        release: lets go of the memory that they take.

    Raises:
        DataError: rows with NaN or infinity, with their number and the first of them.
    """
    n_bad, first = 0, -1
    for number, block in enumerate(rows.split(CHECKED_ROWS)):
        # A sum is a pass at the speed of memory and finite unless a value is not, or it overflows: then rows are looked
        # at.
        if not bool(torch.isfinite(block.sum())):
            bad = ~torch.isfinite(block).all(dim=1)
            if bool(bad.any()):
                first = number * CHECKED_ROWS + int(bad.nonzero()[0]) if first < 0 else first
                n_bad += int(bad.sum())
        release()
    if n_bad:
        raise DataError(
            f"probe: {n_bad} of {len(rows)} {name} rows have features that are NaN or infinite (the first is row "
            f"{first}); leave these rows out and count them"
        )
