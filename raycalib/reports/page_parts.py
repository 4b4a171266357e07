"""What the page's template prints: numbers chosen and rounded, plots drawn, text not yet escaped."""

from collections.abc import Mapping, Sequence
import json
from typing import Any, NamedTuple

from markupsafe import Markup

from raycalib.evaluation.methods import FAMILY_RATE, ZERO_SHOT_QUERY
from raycalib.reports.figures import (
    HIGHER_IS_BETTER,
    LOWER_IS_BETTER,
    UNDEFINED,
    Row,
    best_text,
    bounds_text,
    combo_of,
    combos,
    figure,
    is_best,
    is_degenerate,
    number,
    number_text,
    select,
)
from raycalib.reports.plots import reliability_svg, risk_coverage_svg
from raycalib.reports.wording import CALIBRATED_QUERY, SPLIT_TITLES, in_order, method_name, split_name

HEADLINE_METHODS = (CALIBRATED_QUERY, ZERO_SHOT_QUERY, FAMILY_RATE)
HEADLINE_METRICS = {
    "ece": "ECE",
    "auroc": "AUROC",
    "within_task_auroc": "AUROC within tasks",
    "brier": "Brier score",
}
TABLE_METRICS = {
    "accuracy": "accuracy",
    "ece": "ECE",
    "ece_noise_floor": "floor",
    "auroc": "AUROC",
    "within_task_auroc": "AUROC within tasks",
    "brier": "Brier",
    "nll": "NLL",
    "aurc": "AURC",
}


class Cell(NamedTuple):
    """A table cell.

    Attributes:
        text: As printed.
        small: Printed below it in small letters.
        best: Whether it is the best of its group.
        sort: Number to sort by; None sorts last.
    """

    text: str
    small: str = ""
    best: bool = False
    sort: float | None = None


class Headline(NamedTuple):
    """One metric's means over the combos.

    Attributes:
        title: The metric.
        direction: Which way is better.
        n_combos: Combos on which every method shown has a value; the means are over these.
        values: Method name and mean as text.
    """

    title: str
    direction: str
    n_combos: int
    values: list[tuple[str, str]]


def headlines(summary: Sequence[Row], split: str) -> list[Headline]:
    """Returns the means over combos for the headline methods, each over the same combos.

    A method without any value on the split is undefined and does not narrow the combos of the others. Combos whose
    labels are of one class are left out.
    """
    return [_headline(summary, split, metric) for metric in HEADLINE_METRICS]


def _headline(summary: Sequence[Row], split: str, metric: str) -> Headline:
    values: dict[str, dict[object, float]] = {method: {} for method in HEADLINE_METHODS}
    for row in select(summary, split=split):
        value = figure(row, metric)
        if value is not None and row["method"] in values and not is_degenerate(row):
            values[str(row["method"])][combo_of(row)] = value
    defined = [set(per_combo) for per_combo in values.values() if per_combo]
    shared = set.intersection(*defined) if defined else set()
    means = [
        (method_name(method), _mean_text([per_combo[combo] for combo in per_combo if combo in shared]))
        for method, per_combo in values.items()
    ]
    direction = "higher is better" if metric in HIGHER_IS_BETTER else "lower is better"
    return Headline(HEADLINE_METRICS[metric], direction, len(shared), means)


def _mean_text(values: Sequence[float]) -> str:
    return number_text(sum(values) / len(values)) if values else UNDEFINED


def splits_in(rows: Sequence[Row]) -> list[str]:
    """Returns the splits that have rows, the known ones first."""
    present = list(dict.fromkeys(str(row["split"]) for row in rows))
    return [split for split in SPLIT_TITLES if split in present] + [
        split for split in present if split not in SPLIT_TITLES
    ]


def summary_rows(summary: Sequence[Row], split: str) -> list[tuple[Row, list[Cell]]]:
    """Returns each row of the split with its cells, in the order of TABLE_METRICS, best of a combo marked."""
    lines = []
    for combo in combos(select(summary, split=split)):
        rows = select(summary, combo, split)
        directed = LOWER_IS_BETTER | HIGHER_IS_BETTER
        best = {metric: best_text(rows, metric) for metric in TABLE_METRICS if metric in directed}
        lines += [(row, [_cell(row, metric, best.get(metric)) for metric in TABLE_METRICS]) for row in rows]
    return lines


def _cell(row: Row, metric: str, best: str | None) -> Cell:
    value = figure(row, metric, "mean" if metric == "ece_noise_floor" else "value")
    text = number_text(value)
    return Cell(text, _small_print(row, metric), is_best(row, metric, best), value)


def _small_print(row: Row, metric: str) -> str:
    if metric == "within_task_auroc" and figure(row, metric) is not None:
        tasks = row[metric]
        rows = f", {tasks['n']} rows" if "n" in tasks else ""
        return f"{tasks['n_tasks']} of {tasks['n_tasks'] + tasks['n_tasks_left_out']} tasks{rows}"
    if metric == "ece_noise_floor":
        return f"95 %: {number_text(figure(row, metric, 'quantile_95'))}"
    return bounds_text(row, metric)


def task_methods(tasks: Sequence[Row]) -> list[str]:
    """Returns the methods that have an AUROC per task, in the order of the tables."""
    return in_order(method for row in tasks for method in row["auroc"])


def task_cell(row: Row, method: str) -> Cell:
    """Returns a method's AUROC on a task, and below it the rows that it is of where they are not all of the task's."""
    n = (row.get("n_of") or {}).get(method, row["n"])
    value = row["auroc"].get(method)
    return Cell(number_text(value), "" if n == row["n"] else f"of {n}", sort=number(value))


def number_cell(value: Any) -> Cell:
    """Returns a cell with three decimals that sorts by its number."""
    return Cell(number_text(value), sort=number(value))


def own_svg(svg: str) -> Markup:
    """Returns a plot that the page may print as it is: matplotlib has escaped the text in it."""
    return Markup(svg)


def reliability_figures(report: Mapping[str, Any], split: str) -> list[tuple[str, Markup]]:
    """Returns a caption and the drawn diagrams per combo on the split."""
    rows = [row for row in report["reliability"] if row.get("split", split) == split]
    drawn = ((str(combo), reliability_svg(select(rows, combo))) for combo in combos(rows))
    return [(caption, own_svg(svg)) for caption, svg in drawn if svg]


def risk_coverage_figures(report: Mapping[str, Any], split: str) -> list[tuple[str, Markup]]:
    """Returns a caption and the drawn curves per combo on the split."""
    rows = [row for row in report["risk_coverage"] if row.get("split", split) == split]
    title = f", {split_name(split)}"
    drawn = ((f"{combo}{title}", select(rows, combo)) for combo in combos(rows))
    return [(caption, own_svg(risk_coverage_svg(curves, caption))) for caption, curves in drawn if curves]


def pretty(value: Any) -> str:
    """Returns a nested dict as indented JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
