"""Sets that a probe can learn."""

import numpy as np
from numpy.typing import NDArray

Set = tuple[NDArray[np.float32], NDArray[np.int64]]


def separable(seed: int, n: int) -> Set:
    """Features of very different scales; the label is the sign of a direction through two of them."""
    generator = np.random.default_rng(seed)
    features = generator.normal(0, 1, (n, 6))
    labels = (features[:, 0] + features[:, 3] > 0).astype(np.int64)
    scaled = features * np.array([100, 1, 1, 0.01, 1, 1]) + np.array([50, 0, 0, 3, 0, 0])
    return scaled.astype(np.float32), labels
