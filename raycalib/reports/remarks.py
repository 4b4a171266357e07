"""Remarks where a baseline does as well as tuning: what a reader should not have to find alone."""

from collections.abc import Mapping, Sequence

from raycalib.evaluation.methods import BASELINES, PROBE, WITH_PLATT, WITH_TEMPERATURE, temperature_of
from raycalib.reports.evaluation_sets import in_every_set, main_sets
from raycalib.reports.figures import (
    DIGITS,
    Row,
    by_method,
    combos,
    figure,
    is_degenerate,
    number_text,
    select,
)
from raycalib.reports.wording import METHOD_NAMES, TUNED_QUERY, in_order, method_name, split_name

MAX_DIGITS = 6


def baseline_remarks(summary: Sequence[Row]) -> list[str]:
    """Returns one line per combo and evaluation set where a baseline beats tuning, naming both figures.

    A baseline (zero-shot query, answer and option likelihood, family rate) beats LoRA + Prompt, or an adapter that was
    given, with a higher AUROC or a lower ECE. Tuned and untuned are compared alike: their ECEs are both without a
    temperature, or both with one. Undefined figures beat nothing, and neither do those of labels of one class.

    Args:
        summary: The report's summary rows.

    Returns:
        Lines, test before held-out families before others within a combo; empty when tuning wins everywhere.
    """
    rows = in_every_set(summary)
    remarks = []
    for combo in combos(rows):
        for split in main_sets(rows):
            of_set = by_method(select(rows, combo, split))
            if found := [clause for tuned in _tuned(of_set) for clause in _wins(of_set, tuned)]:
                remarks.append(f"{combo}, {split_name(split)}: {'; '.join(found)}.")
    return remarks


def _tuned(rows: Mapping[str, Row]) -> list[str]:
    """The methods that baselines are compared with, without their temperatures."""
    given = [
        method
        for method in in_order(rows)
        if not temperature_of(method) and method not in METHOD_NAMES and method.split(" ")[0] != PROBE
    ]
    return [TUNED_QUERY, *given]


def _wins(rows: Mapping[str, Row], tuned: str) -> list[str]:
    """Returns a clause per baseline that beats the tuned method: higher AUROC, lower ECE."""
    clauses = _beaten(rows, "auroc", tuned, "")
    for temperature in ("", WITH_TEMPERATURE, WITH_PLATT):
        clauses += _beaten(rows, "ece", tuned, temperature)
    return clauses


def _beaten(rows: Mapping[str, Row], metric: str, tuned: str, temperature: str) -> list[str]:
    name = tuned + temperature
    tuned_value = _telling_figure(rows.get(name, {}), metric)
    found = []
    for baseline in (baseline + temperature for baseline in BASELINES):
        value = _telling_figure(rows.get(baseline, {}), metric)
        if value is None or tuned_value is None:
            continue
        wins = value > tuned_value if metric == "auroc" else value < tuned_value
        if wins:
            mine, theirs = _told_apart(value, tuned_value)
            what = "higher AUROC" if metric == "auroc" else "lower ECE"
            found.append(f"{method_name(baseline)} has the {what}, {mine} against {theirs} for {method_name(name)}")
    return found


def _telling_figure(row: Row, metric: str) -> float | None:
    return None if is_degenerate(row) else figure(row, metric)


def _told_apart(first: float, second: float) -> tuple[str, str]:
    """Returns both numbers with as many decimals as it takes to see which is larger, at most six."""
    texts = (number_text(first), number_text(second))
    for digits in range(DIGITS, MAX_DIGITS + 1):
        texts = (number_text(first, digits), number_text(second, digits))
        if texts[0] != texts[1]:
            break
    return texts
