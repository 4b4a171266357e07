"""How good a judge is on rows that a person labelled, and what that means for an accuracy that it reports."""

from collections.abc import Sequence
from dataclasses import dataclass
import math
from statistics import NormalDist
from typing import NamedTuple


class Share(NamedTuple):
    """A share with its interval; NaN where nothing was counted."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class JudgeQuality:
    """A judge against a person.

    Attributes:
        sensitivity: of the answers that are right, the share that the judge calls right.
        specificity: of the answers that are wrong, the share that it calls wrong.
        n_unscored: rows without its verdict; they are in neither share.
    """

    sensitivity: Share
    specificity: Share
    n_unscored: int


def judge_quality(truth: Sequence[int], verdicts: Sequence[int | None], level: float = 0.95) -> JudgeQuality:
    """Sensitivity and specificity with Wilson intervals.

    Args:
        truth: a person's labels, 1 right and 0 wrong.
        verdicts: the judge's, None for unscored.
        level: of the intervals, in (0, 1).

    Raises:
        ValueError: they are not of one length.

    >>> quality = judge_quality([1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, None])
    >>> quality.sensitivity.value, quality.specificity.value, quality.n_unscored
    (0.75, 1.0, 1)
    """
    pairs = [(t, v) for t, v in zip(truth, verdicts, strict=True) if v is not None]
    found = [v == 1 for t, v in pairs if t == 1]
    refused = [v == 0 for t, v in pairs if t == 0]
    return JudgeQuality(
        sensitivity=wilson_interval(sum(found), len(found), level),
        specificity=wilson_interval(sum(refused), len(refused), level),
        n_unscored=len(truth) - len(pairs),
    )


def wilson_interval(k: int, n: int, level: float = 0.95) -> Share:
    """The share k / n with Wilson's score interval.

    With z the normal quantile of (1 + level) / 2 and p = k / n: centre (p + z²/2n) / (1 + z²/n), half width
    z · sqrt(p(1 - p)/n + z²/4n²) / (1 + z²/n).

    Source: E. B. Wilson, Probable inference, Journal of the American Statistical Association 22 (1927).

    >>> [round(value, 4) for value in wilson_interval(8, 10)[:3]]
    [0.8, 0.4902, 0.9433]
    """
    if not n:
        return Share(math.nan, math.nan, math.nan, 0)
    z, p = NormalDist().inv_cdf((1 + level) / 2), k / n
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    low, high = (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)
    return Share(p, low, high, n)


def corrected_accuracy(observed: float, sensitivity: float, specificity: float) -> float:
    """The accuracy that a judge's own figure stands for, given how it errs.

    (observed + specificity - 1) / (sensitivity + specificity - 1), cut to [0, 1]: the true share p solves
    observed = p · sensitivity + (1 - p)(1 - specificity).

    Args:
        observed: the share that the judge calls right.
        sensitivity: of the judge.
        specificity: of the judge.

    Raises:
        ValueError: the judge is no better than chance (sensitivity + specificity at most 1), so that its figure says
            nothing.

    Source: W. J. Rogan and B. Gladen, Estimating prevalence from the results of a screening test, American Journal of
    Epidemiology 107 (1978).

    >>> round(corrected_accuracy(0.62, sensitivity=0.9, specificity=0.8), 6)
    0.6
    """
    if sensitivity + specificity <= 1:
        raise ValueError(
            f"sensitivity {sensitivity:g} and specificity {specificity:g} add up to at most 1: this judge tells right "
            "from wrong no better than chance, and no accuracy can be told from its verdicts"
        )
    return min(1.0, max(0.0, (observed + specificity - 1) / (sensitivity + specificity - 1)))
