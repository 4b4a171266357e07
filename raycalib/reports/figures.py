"""Reading figures out of a report's rows, and writing them as text."""

from collections.abc import Iterable, Mapping, Sequence
import math
from typing import Any, NamedTuple

from raycalib.evaluation.methods import untempered
from raycalib.printable import printable_line
from raycalib.reports.wording import in_order

Row = Mapping[str, Any]
UNDEFINED = "–"
DIGITS = 3
LOWER_IS_BETTER = frozenset({"ece", "brier", "nll", "aurc"})
HIGHER_IS_BETTER = frozenset({"auroc", "within_task_auroc"})


class Combo(NamedTuple):
    """A model with a prompt style, of a run where several are shown together."""

    model: str
    style: str
    run: str = ""

    def __str__(self) -> str:
        of_run = f"{self.run}: " if self.run else ""
        return printable_line(f"{of_run}{self.model} {self.style}".strip())


def number(value: Any) -> float | None:
    """Returns a finite float, or None for anything undefined (None, NaN, infinite)."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def figure(row: Row, metric: str, part: str = "value") -> float | None:
    """Returns one part of a row's metric ("value", "low", "high", "mean"), None where undefined or absent."""
    return number((row.get(metric) or {}).get(part))


def number_text(value: Any, digits: int = DIGITS) -> str:
    """Returns the number with fixed decimals, "–" where undefined.

    >>> number_text(0.8124), number_text(None), number_text(float("nan"))
    ('0.812', '–', '–')
    """
    defined = number(value)
    return UNDEFINED if defined is None else f"{defined:.{digits}f}"


def bounds_text(row: Row, metric: str) -> str:
    """Returns "[low, high]" of a row's metric, empty when the interval is undefined."""
    low, high = figure(row, metric, "low"), figure(row, metric, "high")
    return "" if low is None or high is None else f"[{number_text(low)}, {number_text(high)}]"


def figure_text(row: Row, metric: str) -> str:
    """Returns a row's metric with its interval, for example "0.812 [0.790, 0.833]"."""
    return f"{number_text(figure(row, metric))} {bounds_text(row, metric)}".strip()


def combo_of(row: Row) -> Combo:
    """Returns the row's model and prompt style, and its run where it names one."""
    return Combo(*(str(row.get(name) or "") for name in Combo._fields))


def combos(rows: Iterable[Row]) -> list[Combo]:
    """Returns the combos in the order of their first row."""
    return list(dict.fromkeys(combo_of(row) for row in rows))


def select(rows: Iterable[Row], combo: Combo | None = None, split: str | None = None) -> list[Row]:
    """Returns the rows of a combo and split (None: of all), methods in the order of the tables."""
    kept = [row for row in rows if combo in (None, combo_of(row)) and (split is None or row.get("split") == split)]
    place = {method: index for index, method in enumerate(in_order(str(row.get("method")) for row in kept))}
    return sorted(kept, key=lambda row: place[str(row.get("method"))])


def by_method(rows: Iterable[Row]) -> dict[str, Row]:
    """Returns the rows of one combo and split by their method."""
    return {str(row["method"]): row for row in rows}


def is_hole(row: Row) -> bool:
    """Returns whether a row stands for figures that there are not: of no answers, with the reason or without.

    >>> is_hole({"n": 0, "reason": "out of memory"}), is_hole({"n": 96, "reason": "all 96 labels are 0"})
    (True, False)
    """
    metrics = {"accuracy", *LOWER_IS_BETTER, *HIGHER_IS_BETTER}
    return not row.get("n") and all(figure(row, metric) is None for metric in metrics)


def is_degenerate(row: Row) -> bool:
    """Returns whether a row's figures tell no method from another: it has no rows, or labels of one class alone.

    >>> is_degenerate({"accuracy": {"value": 0.0}}), is_degenerate({"accuracy": {"value": 0.25}})
    (True, False)
    """
    return bool(row.get("reason")) or figure(row, "accuracy") in (0.0, 1.0)


def best_text(rows: Sequence[Row], metric: str) -> str | None:
    """Returns the best value among rows as it is printed; every row that prints the same counts as best.

    Lowest for ECE, Brier, NLL and AURC, highest for AUROC; None when fewer than two values are defined. Rows whose
    labels are of one class alone do not count: there whoever says that class always is best.

    Raises:
        ValueError: The metric has no direction.
    """
    if metric not in LOWER_IS_BETTER | HIGHER_IS_BETTER:
        allowed = ", ".join(sorted(LOWER_IS_BETTER | HIGHER_IS_BETTER))
        raise ValueError(f"metric: {metric!r} has no better direction; choose one of {allowed}")
    values = [value for row in rows if not is_degenerate(row) and (value := figure(row, metric)) is not None]
    if len(values) < 2:
        return None
    return number_text(min(values) if metric in LOWER_IS_BETTER else max(values))


def without_repeats(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows of one combo and set without those that a temperature makes of another that is there.

    A temperature keeps the ranking, and so AUROC and the risk–coverage curve: they are drawn once.
    """
    present = {str(row.get("method")) for row in rows}
    return [row for row in rows if untempered(str(row.get("method"))) not in present - {str(row.get("method"))}]


def is_best(row: Row, metric: str, best: str | None) -> bool:
    """Returns whether a row's figure is the best of its group, as ``best_text`` gave it, and tells something.

    >>> row = {"accuracy": {"value": 0.25}, "ece": {"value": 0.1}}
    >>> is_best(row, "ece", "0.100"), is_best(row | {"accuracy": {"value": 0.0}}, "ece", "0.100")
    (True, False)
    """
    return best is not None and not is_degenerate(row) and number_text(figure(row, metric)) == best


def filled_bins(row: Row) -> list[tuple[int, float, float]]:
    """Returns count, mean confidence and accuracy of the bins of a reliability row that hold answers."""
    bins = zip(*(row.get(name) or () for name in ("count", "mean_confidence", "accuracy")), strict=True)
    return [
        (count, confidence, accuracy)
        for count, confidence, accuracy in bins
        if count and number(confidence) is not None and number(accuracy) is not None
    ]
