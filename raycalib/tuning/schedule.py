"""The learning rate over a run."""

import math

from raycalib.tuning.settings import TuningSettings


def learning_rate(settings: TuningSettings, step: int) -> float:
    """Rate of a step (counted from 0): linear warm-up, times what the schedule has left of the peak.

    A cosine falls from the first step on, by half of ``1 + cos(pi * step / steps)``. ``wsd`` (warm-up, stable, decay)
    stays at 1 up to its branch point and falls to zero in a straight line from there.

    Source: MiniCPM, arXiv 2404.06395, section 4; the straight line is equation 1 of arXiv 2405.18392.

    >>> learning_rate(TuningSettings(steps=4, lr=1.0), 2)
    0.5
    >>> wsd = TuningSettings(steps=10, lr=1.0, warmup_steps=2, schedule="wsd", decay_share=0.4)
    >>> [learning_rate(wsd, step) for step in range(10)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    warm = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    if settings.schedule == "cosine":
        left = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    else:
        left = min(1.0, (settings.steps - step) / (settings.steps - branch_step(settings)))
    return settings.lr * warm * left


def branch_step(settings: TuningSettings) -> int:
    """Steps at the beginning of a run that are the same whatever its length; its decay takes all others, at least one.

    Of a cosine, whose every rate hangs on the length, there are none.

    >>> branch_step(TuningSettings(steps=5000, schedule="wsd"))
    4000
    """
    if settings.schedule == "cosine":
        return 0
    return settings.steps - max(1, round(settings.decay_share * settings.steps))
