"""The summary on one screen: methods down, combos across; intervals and the other figures are on the page."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
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
    is_best,
    number_text,
    select,
)
from raycalib.reports.split_tables import split_tables
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
    return split_tables(summary, splits, _parts, CAPTION)


def _parts(rows: Sequence[Row], split: str) -> Iterator[RenderableType]:
    found = combos(rows)
    for start in range(0, len(found), COMBOS_ACROSS):
        yield Text(split_title(split), style="bold")
        yield _part(rows, found[start : start + COMBOS_ACROSS])


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
    return f"{text}*" if is_best(row, metric, best_text(rows, metric)) else f"{text} "
