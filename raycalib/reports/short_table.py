"""The summary on one screen: methods down, combos across; intervals and the other figures are on the page."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from raycalib.reports.figures import (
    MAIN_SPLITS,
    UNDEFINED,
    Combo,
    Row,
    best_text,
    by_method,
    combos,
    figure,
    number_text,
    select,
)
from raycalib.reports.reasons import reason_lines
from raycalib.reports.wording import in_order, short_name, split_title

COMBOS_ACROSS = 6
FIRST_WIDTH = 22
CAPTION = "ECE (lower is better) and AUROC (higher); * the best of a combo."


def short_tables(summary: Sequence[Row], splits: Sequence[str] = MAIN_SPLITS) -> Table:
    """Returns a grid with one titled table per split that has rows, in parts of six combos.

    Args:
        summary: The report's summary rows.
        splits: Which splits, in this order.

    Returns:
        A renderable at most 120 columns wide.
    """
    grid = Table.grid(expand=False)
    grid.add_column()
    for split in splits:
        rows = select(summary, split=split)
        found = combos(rows)
        for start in range(0, len(found), COMBOS_ACROSS):
            grid.add_row(Text(split_title(split), style="bold"))
            grid.add_row(_part(rows, found[start : start + COMBOS_ACROSS]))
    grid.add_row(Text(CAPTION, style="dim"))
    for line in reason_lines([row for row in summary if row.get("split") in splits]):
        grid.add_row(Text(line))
    return grid


def _part(rows: Sequence[Row], across: Sequence[Combo]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("method", max_width=FIRST_WIDTH)
    of_combos = [select(rows, combo) for combo in across]
    for combo in across:
        table.add_column(Text(str(combo)), overflow="fold")
    table.add_row("n", *(_counts(of_combo, "n") for of_combo in of_combos))
    if any(row.get("n_unscored") for of_combo in of_combos for row in of_combo):
        table.add_row("unscored", *(_counts(of_combo, "n_unscored") for of_combo in of_combos))
    table.add_row("accuracy", *(number_text(figure(of_combo[0], "accuracy")) for of_combo in of_combos))
    for method in in_order(str(row["method"]) for row in rows):
        table.add_row(short_name(method), *(_cell(of_combo, method) for of_combo in of_combos))
    return table


def _counts(rows: Sequence[Row], name: str) -> str:
    """Of a combo's answers; from the fewest to the most where methods could not score the same."""
    counts = sorted({int(row.get(name) or 0) for row in rows})
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"


def _cell(rows: Sequence[Row], method: str) -> str:
    row = by_method(rows).get(method)
    if row is None:
        return UNDEFINED
    return "  ".join(_marked(rows, row, metric) for metric in ("ece", "auroc"))


def _marked(rows: Sequence[Row], row: Row, metric: str) -> str:
    text = number_text(figure(row, metric))
    return f"{text}*" if text == best_text(rows, metric) else f"{text} "
