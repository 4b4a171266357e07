"""Accuracy: the share of rows that are correct."""

from numpy.typing import ArrayLike

from raycalib.metrics.array_checks import check_labels


def accuracy(labels: ArrayLike) -> float:
    """Returns the mean of the labels, sum(label) / n; higher is better.

    With query labels this is how often the model's answers are right. For the accuracy of the yes/no
    prediction (the paper's `unc_acc`) pass `predicted == labels`.

    Args:
        labels: 1 where the answer is correct, else 0, shape (n,).

    Returns:
        A share in [0, 1], no unit.

    Raises:
        DataError: Empty, NaN, or a value other than 0 and 1.

    Example:
        >>> accuracy([1, 1, 0, 1])
        0.75
    """
    return float(check_labels(labels).mean())
