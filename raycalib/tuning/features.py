"""Feature matrices as they come: in memory or mapped from a file, in single or half precision."""

from typing import TypeAlias

import numpy as np
import torch

from raycalib.errors import DataError

Features: TypeAlias = np.ndarray | torch.Tensor
"""(n, H) hidden states; numpy arrays include memory maps, and bfloat16 comes as a tensor."""

CHECKED_ROWS = 1024


def float32_rows(features: Features) -> torch.Tensor:
    """A float32 copy, (n, H); the one copy that is made, since memory maps cannot be written to."""
    rows = torch.empty(tuple(features.shape), dtype=torch.float32)
    if isinstance(features, torch.Tensor):
        rows.copy_(features.detach())
    else:
        rows.numpy()[...] = features
    return rows


def check_finite(rows: torch.Tensor, name: str) -> None:
    """Checks (n, H) float32 features.

    Raises:
        DataError: rows with NaN or infinity, with their number and the first of them.
    """
    # A sum is a pass at the speed of memory and finite unless a value is not, or it overflows: then rows are looked at.
    if bool(torch.isfinite(rows.sum())):
        return
    bad = torch.cat([~torch.isfinite(block).all(dim=1) for block in rows.split(CHECKED_ROWS)])
    if n_bad := int(bad.sum()):
        raise DataError(
            f"probe: {n_bad} of {len(rows)} {name} rows have features that are NaN or infinite (the first is row "
            f"{int(bad.nonzero()[0])}); leave these rows out and count them"
        )
