"""Confidences that need no tuning: the answer's own likelihood, and how often answers of its kind are right."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import math

from raycalib.records import Row

PROBABILITY_FLOOR = 1e-6


def log_odds(probability: float) -> float:
    """log(p / (1 - p)), with p kept 1e-6 away from 0 and 1.

    >>> log_odds(0.5)
    0.0
    """
    bounded = min(max(probability, PROBABILITY_FLOOR), 1 - PROBABILITY_FLOOR)
    return math.log(bounded) - math.log1p(-bounded)


def answer_log_odds(row: Row) -> float | None:
    """Log-odds of the probability that the model gave its answer (the product over its tokens).

    Computed from the logarithm, so that very unlikely answers keep their order; None where there is no answer.
    """
    if row["log_likelihood"] is None:
        return None
    log_p = min(float(row["log_likelihood"]), math.log1p(-PROBABILITY_FLOOR))
    return log_p - math.log(-math.expm1(log_p))


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


def fit_task_rates(train_rows: Iterable[Row]) -> TaskRates:
    """Rates from labelled training rows; unscored rows do not count."""
    labels: dict[str, list[int]] = defaultdict(list)
    for row in train_rows:
        if row["query_label"] is not None:
            labels[row["task"]].append(int(row["query_label"]))
    every = [label for of_task in labels.values() for label in of_task]
    rates = {task: (sum(of_task) + 1) / (len(of_task) + 2) for task, of_task in labels.items()}
    return TaskRates(rates, (sum(every) + 1) / (len(every) + 2))
