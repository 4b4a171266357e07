"""Hours on the clock: work that is shared out among GPUs, and how much of their time it fills."""

from collections.abc import Sequence
from dataclasses import dataclass
import heapq

POOL_START_S = 60.0
"""Assumed: processes that start, and 13 to 26 GB of weights that are read."""
LAST_SHARD_S = 20.0
"""Assumed: so long a pool's workers wait, on average, for the last of its shards."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Of work on several GPUs.

    Attributes:
        hours: from its begin to its end.
        share: of the GPUs' time that is work, in [0, 1].
    """

    hours: float
    share: float


def pools_clock(gpu_hours: float, n_pools: int, n_gpus: int) -> Clock:
    """Shards that any GPU takes, in so many pools one after the other, each of which has to start and to end.

    Args:
        gpu_hours: of all shards.
        n_pools: that follow one another.
        n_gpus: that take shards.

    >>> pools_clock(8.0, 3, 8)
    Clock(hours=1.0666666666666667, share=0.9375)
    """
    hours = gpu_hours / n_gpus + n_pools * (POOL_START_S + LAST_SHARD_S) / 3600
    return Clock(hours=hours, share=gpu_hours / n_gpus / hours if hours else 1.0)


def trials_clock(gpu_hours: Sequence[float], workers: int, n_gpus: int, begun: float = 0.0) -> Clock:
    """Trials of so many workers each, the longest first, each as soon as its GPUs are free.

    Args:
        gpu_hours: of each trial.
        workers: of each, one GPU for each of them.
        n_gpus: that tune; where they are fewer than the workers of one trial, as many as that.
        begun: GPU-hours before the trials that any GPU takes.

    >>> trials_clock([3.0, 1.0, 1.0, 1.0], 1, 2)
    Clock(hours=3.0, share=1.0)
    >>> trials_clock([3.0], 1, 2)
    Clock(hours=3.0, share=0.5)
    """
    n_gpus = max(n_gpus, workers)
    free_at = [0.0] * (n_gpus // workers)
    for hours in sorted(gpu_hours, reverse=True):
        heapq.heapreplace(free_at, free_at[0] + hours / workers)
    hours = max(free_at) + begun / n_gpus
    return Clock(hours=hours, share=(sum(gpu_hours) + begun) / n_gpus / hours if hours else 1.0)
