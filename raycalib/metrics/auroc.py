"""AUROC: how well a score ranks correct answers above incorrect ones."""

import numpy as np
from numpy.typing import ArrayLike

from raycalib.metrics.array_checks import check_labels, check_same_length, check_scores
from raycalib.metrics.tied_blocks import tied_blocks


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Returns the probability that a correct answer outranks an incorrect one; higher is better.

    AUROC = (sum of the ranks of the correct rows - n1 (n1 + 1) / 2) / (n1 n0)

    Tied scores share their mean rank, so a tie between the classes counts one half. Give the logit margin
    where there is one: float32 probabilities saturate into ties.

    Args:
        labels: 1 where the answer is correct (positive class), else 0, shape (n,).
        scores: Any real value, higher = surer, infinities allowed, shape (n,).

    Returns:
        A probability in [0, 1], 0.5 for a score without information; NaN when only one class is present.

    Raises:
        DataError: Empty, NaN, labels other than 0 and 1, or different lengths.

    Source: Mann and Whitney 1947; Hanley and McNeil 1982.

    Example:
        >>> auroc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8])
        0.875
    """
    targets = check_labels(labels)
    values = check_scores(scores)
    check_same_length(labels=targets, scores=values)
    n_correct = int(targets.sum())
    n_incorrect = len(targets) - n_correct
    if n_correct == 0 or n_incorrect == 0:
        return float("nan")
    order, starts, sizes = tied_blocks(values)
    mean_ranks = starts + (sizes + 1) / 2
    correct_per_block = np.add.reduceat(targets[order], starts)
    rank_sum = float(mean_ranks @ correct_per_block)
    return (rank_sum - n_correct * (n_correct + 1) / 2) / (n_correct * n_incorrect)
