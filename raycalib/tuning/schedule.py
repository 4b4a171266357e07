"""The learning rate over a run."""

import math

from raycalib.tuning.settings import TuningSettings


def learning_rate(settings: TuningSettings, step: int) -> float:
    """Rate of a step (counted from 0): linear warm-up, then a cosine to zero.

    >>> learning_rate(TuningSettings(steps=4, lr=1.0), 2)
    0.5
    """
    warm = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    return settings.lr * warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
