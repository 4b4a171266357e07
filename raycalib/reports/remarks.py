"""Remarks where a baseline does as well as tuning: what a reader should not have to find alone."""

from collections.abc import Mapping, Sequence

from raycalib.evaluation.methods import BASELINES
from raycalib.reports.figures import (
    DIGITS,
    MAIN_SPLITS,
    Combo,
    Row,
    by_method,
    combos,
    figure,
    is_degenerate,
    number_text,
    select,
)
from raycalib.reports.wording import CALIBRATED_QUERY, TUNED_QUERY, method_name, split_name

MAX_DIGITS = 6


def baseline_remarks(summary: Sequence[Row]) -> list[str]:
    """Returns one line per combo and split where a baseline beats tuning, naming both figures.

    A baseline (zero-shot query, answer likelihood, family rate) beats tuning with a higher AUROC than
    LoRA + Prompt or a lower ECE than LoRA + Prompt + temperature. Undefined figures beat nothing, and neither do those
    of labels of one class.

    Args:
        summary: The report's summary rows.

    Returns:
        Lines, test before held-out families within a combo; empty when tuning wins everywhere.
    """
    remarks = []
    for combo in combos(summary):
        for split in MAIN_SPLITS:
            rows = by_method(select(summary, combo, split))
            found = _wins(rows, "auroc", TUNED_QUERY) + _wins(rows, "ece", CALIBRATED_QUERY)
            if found:
                remarks.append(_line(combo, split, found))
    return remarks


def _line(combo: Combo, split: str, found: Sequence[str]) -> str:
    return f"{combo}, {split_name(split)}: {'; '.join(found)}."


def _wins(rows: Mapping[str, Row], metric: str, tuned: str) -> list[str]:
    """Returns a clause per baseline that beats the tuned method: higher AUROC, lower ECE."""
    tuned_value = _telling_figure(rows.get(tuned, {}), metric)
    found = []
    for baseline in BASELINES:
        value = _telling_figure(rows.get(baseline, {}), metric)
        if value is None or tuned_value is None:
            continue
        wins = value > tuned_value if metric == "auroc" else value < tuned_value
        if wins:
            mine, theirs = _told_apart(value, tuned_value)
            what = "higher AUROC" if metric == "auroc" else "lower ECE"
            found.append(f"{method_name(baseline)} has the {what}, {mine} against {theirs} for {method_name(tuned)}")
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
