"""What the page's template prints: numbers chosen and rounded, plots drawn, text not yet escaped."""

from collections.abc import Sequence
import json
from typing import Any, NamedTuple

from raycalib.evaluation.methods import FAMILY_RATE, WITH_TEMPERATURE, ZERO_SHOT_QUERY, temperature_of, untempered
from raycalib.reports.evaluation_sets import main_sets
from raycalib.reports.figures import (
    HIGHER_IS_BETTER,
    LOWER_IS_BETTER,
    UNDEFINED,
    Combo,
    Row,
    best_text,
    bounds_text,
    by_method,
    combo_of,
    combos,
    figure,
    is_best,
    is_degenerate,
    is_hole,
    number,
    number_text,
    select,
)
from raycalib.reports.leading import leading_method
from raycalib.reports.reasons import reason_lines
from raycalib.reports.wording import in_order, method_name

HEADLINE_BASELINES = (ZERO_SHOT_QUERY, FAMILY_RATE)
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
    """Returns the means over combos of the leading method and two baselines, each over the same combos.

    Baselines with a temperature stand beside those without where there are such. A method without any value on the
    split is undefined and does not narrow the combos of the others. Combos whose labels are of one class are left out.
    """
    rows = select(summary, split=split)
    return [_headline(rows, metric, _headline_methods(rows, metric)) for metric in HEADLINE_METRICS]


def _headline_methods(rows: Sequence[Row], metric: str) -> list[str]:
    """A temperature does not change AUROC: there the baselines stand without."""
    present = {str(row.get("method")) for row in rows if figure(row, metric) is not None}
    tempered = {baseline + WITH_TEMPERATURE for baseline in HEADLINE_BASELINES} & present
    found = list(HEADLINE_BASELINES) if "auroc" in metric else in_order([*HEADLINE_BASELINES, *tempered])
    leading = leading_method(rows)
    return [leading, *(method for method in found if method != leading)]


def _headline(rows: Sequence[Row], metric: str, methods: Sequence[str]) -> Headline:
    values: dict[str, dict[object, float]] = {method: {} for method in methods}
    for row in rows:
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


def top_lines(summary: Sequence[Row], holes: Sequence[Row]) -> list[str]:
    """Returns what failed as a whole, a line each: combos without any figure, and what has no rows at all."""
    whole = {combo for combo in combos(summary) if all(map(is_hole, select(summary, combo)))}
    return reason_lines([row for row in summary if combo_of(row) in whole], holes)


class Overview(NamedTuple):
    """One method on all evaluation sets.

    Attributes:
        method: Its name in words.
        combos: Across.
        lines: Names of sets, and per combo its ECE and AUROC.
    """

    method: str
    combos: list[Combo]
    lines: list[tuple[str, list[Cell]]]


def overview(summary: Sequence[Row]) -> Overview:
    """Returns the leading method's ECE on every evaluation set, and below it its AUROC."""
    method, across = leading_method(summary), combos(summary)
    lines = []
    for split in main_sets(summary):
        rows = (by_method(select(summary, combo, split)).get(method, {}) for combo in across)
        lines.append((split, [_overview_cell(row) for row in rows]))
    return Overview(method_name(method), across, lines)


def _overview_cell(row: Row) -> Cell:
    auroc, ece = figure(row, "auroc"), figure(row, "ece")
    return Cell(number_text(ece), f"AUROC {number_text(auroc)}", sort=ece)


def summary_rows(summary: Sequence[Row], split: str) -> list[tuple[Row, list[Cell]]]:
    """Returns each row of the split with its cells, in the order of TABLE_METRICS, best of a combo marked.

    Where all methods of a combo are missing for one reason they have one row.
    """
    lines = []
    for combo in combos(select(summary, split=split)):
        rows = _one_for_all(select(summary, combo, split))
        directed = LOWER_IS_BETTER | HIGHER_IS_BETTER
        best = {metric: best_text(rows, metric) for metric in TABLE_METRICS if metric in directed}
        lines += [(row, [_cell(row, metric, best.get(metric)) for metric in TABLE_METRICS]) for row in rows]
    return lines


def _one_for_all(rows: Sequence[Row]) -> Sequence[Row]:
    reasons = {row.get("reason") for row in rows}
    if len(rows) == 1 or len(reasons) > 1 or not all(map(is_hole, rows)):
        return rows
    return [{**rows[0], "method": "every method"}]


def _cell(row: Row, metric: str, best: str | None) -> Cell:
    value = figure(row, metric, "mean" if metric == "ece_noise_floor" else "value")
    text = number_text(value)
    return Cell(text, _small_print(row, metric), is_best(row, metric, best), value)


def _small_print(row: Row, metric: str) -> str:
    if metric == "within_task_auroc" and figure(row, metric) is not None:
        tasks = row[metric]
        rows = f", {tasks['n']} rows" if "n" in tasks else ""
        return f"{tasks['n_tasks']} of {tasks['n_tasks'] + tasks['n_tasks_left_out']} tasks{rows}"
    if metric == "ece_noise_floor" and not is_hole(row):
        return f"95 %: {number_text(figure(row, metric, 'quantile_95'))}"
    return bounds_text(row, metric)


def task_methods(tasks: Sequence[Row]) -> list[str]:
    """Returns the methods that have an AUROC per task, in the order of the tables.

    A temperature does not change it: a method with one has a column only where it stands alone in a row.
    """
    found = [(method, row.get("auroc") or {}) for row in tasks for method in row.get("auroc") or ()]
    return in_order(
        method for method, of_row in found if not temperature_of(method) or untempered(method) not in of_row
    )


def task_cell(row: Row, method: str) -> Cell:
    """Returns a method's AUROC on a task, and below it the rows that it is of where they are not all of the task's."""
    n = (row.get("n_of") or {}).get(method, row.get("n"))
    value = (row.get("auroc") or {}).get(method)
    return Cell(number_text(value), "" if n == row.get("n") else f"of {n}", sort=number(value))


def number_cell(value: Any) -> Cell:
    """Returns a cell with three decimals that sorts by its number."""
    return Cell(number_text(value), sort=number(value))


def pretty(value: Any) -> str:
    """Returns a nested dict as indented JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
