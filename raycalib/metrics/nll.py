"""Negative log-likelihood of the labels, from probabilities or from logit margins."""

import numpy as np
from numpy.typing import ArrayLike

from raycalib.errors import DataError
from raycalib.metrics.array_checks import check_confidence, check_labels, check_same_length, check_scores

PROBABILITY_FLOOR = 1e-12


def nll(labels: ArrayLike, confidence: ArrayLike) -> float:
    """Returns the mean negative log-likelihood of the labels in nats; lower is better.

    NLL = -mean(log(max(q, 1e-12))), q = confidence where the label is 1, else 1 - confidence

    The floor keeps a single certain and wrong row from making the mean infinite; such a row costs 27.6 nats.

    Args:
        labels: 1 where the answer is correct, else 0, shape (n,).
        confidence: P(correct) in [0, 1], shape (n,).

    Returns:
        Nats per row in [0, 27.64]; log(2) = 0.693 for a constant confidence of 0.5.

    Raises:
        DataError: Empty, NaN, out of range, or different lengths.

    Source: Good 1952 (logarithmic score).

    Example:
        >>> round(nll([1, 0], [0.5, 0.75]), 4)
        1.0397
    """
    targets = check_labels(labels)
    values = check_confidence(confidence)
    check_same_length(labels=targets, confidence=values)
    likelihood = np.where(targets == 1, values, 1.0 - values)
    # + 0.0 turns the -0.0 of a perfect prediction into 0.0, which reports print.
    return float(-np.log(np.maximum(likelihood, PROBABILITY_FLOOR)).mean() + 0.0)


def nll_from_logits(labels: ArrayLike, margin: ArrayLike) -> float:
    """Returns the mean negative log-likelihood of the labels in nats, without a floor; lower is better.

    NLL = mean(log(1 + exp(-s * margin))), s = 1 where the label is 1, else -1,
    computed as max(-s * margin, 0) + log1p(exp(-|margin|)), which neither overflows nor saturates.

    Args:
        labels: 1 where the answer is correct, else 0, shape (n,).
        margin: logit(yes) - logit(no), so that confidence = 1 / (1 + exp(-margin)); finite, shape (n,).

    Returns:
        Nats per row in [0, inf).

    Raises:
        DataError: Empty, NaN or infinite margins, labels other than 0 and 1, or different lengths.

    Source: Good 1952 (logarithmic score).

    Example:
        >>> round(nll_from_logits([1, 0], [0.0, 1.0]), 4)
        1.0032
    """
    targets = check_labels(labels)
    values = check_scores(margin, "margin")
    check_same_length(labels=targets, margin=values)
    n_infinite = int(np.isinf(values).sum())
    if n_infinite:
        raise DataError(
            f"margin: expected finite values, got {n_infinite} infinite in {len(values)} rows;"
            " use nll on the confidences, which floors certain predictions"
        )
    signed = np.where(targets == 1, values, -values)
    return float((np.maximum(-signed, 0.0) + np.log1p(np.exp(-np.abs(values)))).mean())
