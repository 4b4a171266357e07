"""Confidences that need no tuning: the answer's own likelihood, and how often answers of its kind are right."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import math
from string import ascii_lowercase
import sys

from raycalib.records import Row

LEAST_LOG = -math.ulp(0.0)
"""The logarithm nearest to that of 1 that float64 can tell from it: what is surer is as sure as this."""
LEAST_ODDS = -sys.float_info.max
"""Log-odds of what is impossible, finite so that they can be ranked and stored."""


def log_odds(probability: float) -> float:
    """log(p / (1 - p)), as far as float64 goes and never infinite.

    >>> log_odds(0.5)
    0.0
    """
    if probability >= 1:
        return odds_of_log(0.0)
    return LEAST_ODDS if probability <= 0 else math.log(probability) - math.log1p(-probability)


def odds_of_log(log_p: float) -> float:
    """Log-odds of a probability given as its logarithm: log p - log(1 - p), strictly growing to the end of float64.

    >>> round(odds_of_log(-1e-12), 3), round(odds_of_log(0.0), 3)
    (27.631, 744.44)
    """
    bounded = max(min(log_p, LEAST_LOG), LEAST_ODDS)
    return bounded - math.log(-math.expm1(bounded))


def answer_log_odds(row: Row) -> float | None:
    """Log-odds of the probability that the model gave its answer (the product over its tokens).

    Computed from the logarithm, so that neither very likely nor very unlikely answers are tied; None where there is no
    answer, or its likelihood is not a number.
    """
    if row["log_likelihood"] is None or math.isnan(row["log_likelihood"]):
        return None
    return odds_of_log(float(row["log_likelihood"]))


def option_log_odds(row: Row) -> float | None:
    """Log-odds of the probability of the chosen option among the options' letters alone.

    log p_chosen - log(sum of the others' p): what the model says to other tokens does not count. None where the answer
    is not the letter of an option, or their likelihoods are not known.
    """
    logs = [float(each) for each in row["option_log_likelihoods"]]
    chosen = _option(row["answer"], len(logs))
    if chosen is None or len(logs) < 2 or any(math.isnan(each) for each in logs):
        return None
    others = logs[:chosen] + logs[chosen + 1 :]
    highest = max(others)
    if logs[chosen] == -math.inf:
        return LEAST_ODDS
    if highest == -math.inf:
        return odds_of_log(0.0)
    return logs[chosen] - highest - math.log(sum(math.exp(each - highest) for each in others))


def _option(answer: str, n_options: int) -> int | None:
    """Which option an answer is the letter of: ``a``, ``(a``, ``a.`` or ``A)``; None for anything else."""
    letter = answer.strip().strip("().:").lower()
    place = ascii_lowercase.find(letter) if len(letter) == 1 else -1
    return place if 0 <= place < n_options else None


@dataclass(frozen=True)
class TaskRates:
    """Share of right training answers per task: what a lookup table would say.

    A task without training answers gets the share over all of them. One right and one wrong answer are added to each
    task, so that no rate is 0 or 1 (Laplace).
    """

    rates: Mapping[str, float]
    overall: float

    def rate(self, task: str) -> float:
        """The rate of a task."""
        return self.rates.get(task, self.overall)


class TaskTally:
    """Right and wrong training answers of each task, counted one after the other.

    Attributes:
        n_right, n_scored: of all tasks.
    """

    def __init__(self) -> None:
        self.n_right = self.n_scored = 0
        self._right, self._scored = Counter[str](), Counter[str]()

    def add(self, task: str, label: int | None) -> None:
        """Counts one answer; an unscored one does not count."""
        if label is not None:
            self.n_right += int(label)
            self.n_scored += 1
            self._right[task] += int(label)
            self._scored[task] += 1

    def rates(self) -> TaskRates:
        """The rates of what was counted."""
        rates = {task: (self._right[task] + 1) / (n + 2) for task, n in self._scored.items()}
        return TaskRates(rates, (self.n_right + 1) / (self.n_scored + 2))


def fit_task_rates(train_rows: Iterable[Row]) -> TaskRates:
    """Rates from labelled training rows; unscored rows do not count."""
    tally = TaskTally()
    for row in train_rows:
        tally.add(row["task"], row["query_label"])
    return tally.rates()
