"""The frame that both kinds of tables on a terminal have: one part per split, and below them the reasons of figures."""

from collections.abc import Callable, Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from raycalib.reports.evaluation_sets import set_of
from raycalib.reports.figures import Row, select
from raycalib.reports.reasons import reason_lines


def split_tables(
    summary: Sequence[Row],
    splits: Sequence[str],
    parts: Callable[[Sequence[Row], str], Iterable[RenderableType]],
    last: Iterable[RenderableType] = (),
    holes: Sequence[Row] = (),
) -> Table:
    """Returns a grid with the parts of each split that has rows, and below it why figures are missing or say nothing.

    Args:
        summary: The report's summary rows, each with its split.
        splits: Which splits, in this order.
        parts: Makes a split's parts of its rows, which are not empty, and its name.
        last: What stands below the parts.
        holes: The report's "holes".
    """
    grid = Table.grid(expand=False)
    grid.add_column(overflow="fold")
    for split in splits:
        if rows := select(summary, split=split):
            for part in parts(rows, split):
                grid.add_row(part)
    for part in last:
        grid.add_row(part)
    for line in reason_lines([row for row in summary if set_of(row) in splits], holes):
        grid.add_row(Text(line))
    return grid
