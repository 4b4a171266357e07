"""The summary on one screen: methods down, combos across; intervals and the other figures are on the page."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from raycalib.reports.evaluation_sets import in_every_set, main_sets
from raycalib.reports.figures import (
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
from raycalib.reports.further_sets import further_sets
from raycalib.reports.split_tables import split_tables
from raycalib.reports.wording import in_order, short_name, split_title

COMBOS_ACROSS = 6
FIRST_WIDTH = 22
MOST_SETS = 4
WHOLE_OF_MORE = 2
CAPTION = "ECE (lower is better) and AUROC (higher); * the best of a combo."


def short_tables(summary: Sequence[Row], splits: Sequence[str] | None = None, holes: Sequence[Row] = ()) -> Table:
    """Returns a grid with one titled table per split that has rows, in parts of six combos.

    Of more than four splits the first two have a table, the others a line each with the figures of one method.

    Args:
        summary: The report's summary rows.
        splits: Which splits, in this order; None for all but the fresh entities.
        holes: The report's "holes".

    Returns:
        A renderable at most 120 columns wide.
    """
    rows = in_every_set(summary)
    wanted = main_sets(rows) if splits is None else list(splits)
    n_whole = len(wanted) if len(wanted) <= MOST_SETS else WHOLE_OF_MORE
    whole, further = wanted[:n_whole], wanted[n_whole:]
    last: list[RenderableType] = [*further_sets(rows, further, COMBOS_ACROSS), Text(CAPTION, style="dim")]
    if further:
        last.append(
            Text(f"The page has all methods on all {len(wanted)} evaluation sets, with intervals.", style="dim")
        )
    return split_tables(rows, wanted, lambda found, split: _parts(found, split) if split in whole else (), last, holes)


def _parts(rows: Sequence[Row], split: str) -> Iterator[RenderableType]:
    found = combos(rows)
    for start in range(0, len(found), COMBOS_ACROSS):
        yield Text(split_title(split), style="bold")
        yield _part(rows, found[start : start + COMBOS_ACROSS])


def _part(rows: Sequence[Row], across: Sequence[Combo]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("method", max_width=FIRST_WIDTH, overflow="fold")
    of_combos = [select(rows, combo) for combo in across]
    for combo in across:
        table.add_column(Text(str(combo)), overflow="fold")
    table.add_row("n", *(_counts(of_combo, "n") for of_combo in of_combos))
    if any(row.get("n_unscored") for of_combo in of_combos for row in _told(of_combo)):
        table.add_row("unscored", *(_counts(of_combo, "n_unscored") for of_combo in of_combos))
    table.add_row("accuracy", *(_accuracy(of_combo) for of_combo in of_combos))
    for method in in_order(str(row["method"]) for row in rows):
        table.add_row(Text(short_name(method)), *(_cell(of_combo, method) for of_combo in of_combos))
    return table


def _told(rows: Sequence[Row]) -> Sequence[Row]:
    """Those that have figures, where any has: why one has none stands below the table."""
    return [row for row in rows if row.get("n")] or rows


def _counts(rows: Sequence[Row], name: str) -> str:
    """Of a combo's answers; from the fewest to the most where methods could not score the same."""
    counts = sorted({int(row.get(name) or 0) for row in _told(rows)})
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"


def _accuracy(rows: Sequence[Row]) -> str:
    """Of the first method that has one: no method changes it."""
    found = (value for row in rows if (value := figure(row, "accuracy")) is not None)
    return number_text(next(found, None))


def _cell(rows: Sequence[Row], method: str) -> str:
    row = by_method(rows).get(method)
    if row is None:
        return UNDEFINED
    return "  ".join(_marked(rows, row, metric) for metric in ("ece", "auroc"))


def _marked(rows: Sequence[Row], row: Row, metric: str) -> str:
    text = number_text(figure(row, metric))
    return f"{text}*" if is_best(row, metric, best_text(rows, metric)) else f"{text} "
