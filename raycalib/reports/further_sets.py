"""Evaluation sets that have no table of their own on a terminal: a line each, with the figures of one method."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from raycalib.reports.figures import UNDEFINED, Combo, Row, by_method, combos, figure, number_text, select
from raycalib.reports.leading import leading_method
from raycalib.reports.wording import short_name, shortened, split_name

NAME_WIDTH = 22


def further_sets(rows: Sequence[Row], splits: Sequence[str], combos_across: int) -> Iterator[RenderableType]:
    """Yields titles and tables: evaluation sets down, combos across; in a cell ECE and AUROC.

    Args:
        rows: The summary's rows.
        splits: Names of the sets, in this order.
        combos_across: How many combos stand side by side.
    """
    of_splits = [row for row in rows if row.get("split") in splits]
    method = leading_method(of_splits)
    found = combos(of_splits)
    for start in range(0, len(found), combos_across):
        yield Text(f"Further evaluation sets, {short_name(method)}", style="bold")
        yield _table(of_splits, splits, method, found[start : start + combos_across])


def _table(rows: Sequence[Row], splits: Sequence[str], method: str, across: Sequence[Combo]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("evaluation set", max_width=NAME_WIDTH, overflow="fold")
    for combo in across:
        table.add_column(Text(str(combo)), overflow="fold")
    for split in splits:
        of_method = [by_method(select(rows, combo, split)).get(method) for combo in across]
        table.add_row(Text(shortened(split_name(split))), *map(_cell, of_method))
    return table


def _cell(row: Row | None) -> str:
    if row is None:
        return UNDEFINED
    return "  ".join(f"{number_text(figure(row, metric))} " for metric in ("ece", "auroc"))
