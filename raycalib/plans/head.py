"""What the head of a cluster has to hold."""

HEAD_GB = 8.0
"""Assumed: what Ray takes on the head of a cluster, its dashboard among it."""
TRAIN_RUN_GB = 0.6
"""What a run of Ray Train keeps on the head while it goes on (ray issue 65443)."""


def head_gb(workers: int, at_once: int) -> float:
    """Memory in GB that the head of a cluster should have: trials of one worker take nothing there.

    Args:
        workers: of each trial.
        at_once: trials at work at once.

    >>> head_gb(1, 64), head_gb(4, 10)
    (8.0, 14.0)
    """
    return HEAD_GB + (TRAIN_RUN_GB * at_once if workers > 1 else 0.0)


def head_line(workers: int, at_once: int) -> str:
    """A line for the terminal."""
    size = f"the head of a cluster: {head_gb(workers, at_once):g} GB of memory"
    if workers == 1:
        return f"{size}, and nothing for trials: one of one worker is a process on that worker's node"
    return f"{size}: {HEAD_GB:g} GB, and {TRAIN_RUN_GB:g} GB for each of {at_once} runs of Ray Train at once"
