"""AUROC inside groups, which a score cannot raise by telling the groups apart."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from raycalib.metrics.array_checks import (
    check_at_least,
    check_groups,
    check_labels,
    check_same_length,
    check_scores,
)
from raycalib.metrics.auroc import auroc


class WithinGroupAuroc(NamedTuple):
    """Mean AUROC over groups.

    Attributes:
        value: Mean over the groups used; NaN when there is none.
        n_groups_used: Groups with enough rows of both classes.
        n_groups_left_out: The other groups.
        n_rows_used: Rows of the groups used.
    """

    value: float
    n_groups_used: int
    n_groups_left_out: int
    n_rows_used: int


def mean_within_group_auroc(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, min_per_class: int = 5
) -> WithinGroupAuroc:
    """Returns the unweighted mean of the groups' own AUROCs; higher is better.

    value = (1 / G) * sum over groups g of AUROC(rows of g), over the G groups with at least `min_per_class`
    correct and as many incorrect rows; every group counts the same, however large.

    Pooled AUROC also rewards knowing that one task is harder than another; this one does not.

    Args:
        labels: 1 where the answer is correct (positive class), else 0, shape (n,).
        scores: Any real value, higher = surer, shape (n,).
        groups: Group id of each row (task, subject), strings or integers, shape (n,).
        min_per_class: Rows of each class that a group needs, at least 1.

    Returns:
        The mean in [0, 1], or NaN when no group qualifies, the numbers of groups used and left out, and of rows used.

    Raises:
        DataError: Empty, NaN, labels other than 0 and 1, different lengths, or min_per_class below 1.

    Example:
        >>> tasks = ["a", "a", "b", "b", "c"]
        >>> mean_within_group_auroc([0, 1, 0, 1, 1], [1, 2, 9, 8, 3], tasks, min_per_class=1)
        WithinGroupAuroc(value=0.5, n_groups_used=2, n_groups_left_out=1, n_rows_used=4)
    """
    targets = check_labels(labels)
    values = check_scores(scores)
    index = check_groups(groups)
    check_same_length(labels=targets, scores=values, groups=index)
    check_at_least(min_per_class, 1, "min_per_class")
    n_rows = np.bincount(index)
    n_correct = np.bincount(index[targets == 1], minlength=len(n_rows))
    usable = np.flatnonzero(np.minimum(n_correct, n_rows - n_correct) >= min_per_class)
    by_group = np.argsort(index, kind="stable")
    rows_of = np.split(by_group, np.cumsum(n_rows)[:-1])
    parts = [auroc(targets[rows_of[group]], values[rows_of[group]]) for group in usable]
    value = float(np.mean(parts)) if parts else float("nan")
    return WithinGroupAuroc(value, len(parts), len(n_rows) - len(parts), int(n_rows[usable].sum()))
