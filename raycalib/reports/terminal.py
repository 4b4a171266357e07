"""The summary as tables for a terminal or a log file, 120 columns wide."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from raycalib.reports.evaluation_sets import in_every_set, main_sets, set_of
from raycalib.reports.figures import (
    Combo,
    Row,
    best_text,
    combos,
    figure,
    figure_text,
    is_best,
    number_text,
    select,
)
from raycalib.reports.reasons import reason_lines
from raycalib.reports.short_table import MOST_SETS, short_tables
from raycalib.reports.split_tables import split_tables
from raycalib.reports.wording import short_name, split_title

WIDTH = 120
MOST_LINES = 16  # of figures, beside those of titles and captions
FIRST_WIDTH = 22  # what six columns of figures leave
FIGURE_COLUMNS = {"accuracy": "accuracy", "ece": "ECE", "auroc": "AUROC", "brier": "Brier"}
MARKED = ("ece", "auroc")
CAPTION = (
    "ECE, Brier: lower is better; AUROC: higher. [95 % bootstrap interval]. * best ECE, AUROC of the combo."
    " floor: mean ECE of a perfectly calibrated model on as many questions."
)


def summary_table(summary: Sequence[Row], splits: Sequence[str] | None = None, holes: Sequence[Row] = ()) -> Table:
    """Returns a grid with one titled table per split that has rows: combos × methods with their intervals.

    The best ECE and AUROC of a combo are bold and starred, since a log file has no bold; below stand the reasons of
    figures that are missing or say nothing. Text from data is never read as markup.

    Args:
        summary: The report's summary rows.
        splits: Which splits, in this order; None for all but the fresh entities.
        holes: The report's "holes".

    Returns:
        A renderable at most 120 columns wide.
    """
    rows = in_every_set(summary)
    shown = main_sets(rows) if splits is None else splits
    return split_tables(rows, shown, lambda found, split: [_split_table(found, split)], holes=holes)


def print_summary(summary: Sequence[Row], console: Console | None = None, holes: Sequence[Row] = ()) -> None:
    """Prints the tables, or short ones where those are longer than a screen, and the reasons of holes.

    Without a console to standard output, at width 120 when that is no terminal.

    Args:
        summary: The report's summary rows.
        console: Where to print.
        holes: The report's "holes": what failed and has no rows.
    """
    target = console or Console()
    if console is None and not target.is_terminal:
        target = Console(width=WIDTH, color_system=None)
    if not summary:
        target.print("No figures: the summary has no rows.", markup=False)
        for line in reason_lines([], holes):
            target.print(line, markup=False, highlight=False)
        return
    rows = in_every_set(summary)
    sets = main_sets(rows)
    few = len(sets) <= MOST_SETS and sum(1 for row in rows if set_of(row) in sets) <= MOST_LINES
    target.print(summary_table(rows, sets, holes) if few else short_tables(rows, sets, holes))


def _split_table(rows: Sequence[Row], split: str) -> Table:
    table = Table(
        title=Text(split_title(split), style="bold"),
        caption=Text(_caption(rows), style="dim"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )
    table.add_column("combo, method", overflow="fold", max_width=FIRST_WIDTH)
    table.add_column("n", justify="right", no_wrap=True)
    for metric, title in FIGURE_COLUMNS.items():
        table.add_column(title, no_wrap=True)
        if metric == "ece":
            table.add_column("floor", style="dim", no_wrap=True)
    for combo in combos(rows):
        _add_combo(table, combo, select(rows, combo))
    return table


def _add_combo(table: Table, combo: Combo, rows: Sequence[Row]) -> None:
    table.add_row(Text(str(combo), style="bold"))
    best = {metric: best_text(rows, metric) for metric in MARKED}
    for row in rows:
        cells = [Text(f" {short_name(str(row['method']))}"), Text(str(row.get("n", "")))]
        for metric in FIGURE_COLUMNS:
            cells.append(_cell(row, metric, best.get(metric)))
            if metric == "ece":
                cells.append(Text(number_text(figure(row, "ece_noise_floor", "mean"))))
        table.add_row(*cells)
    table.add_section()


def _cell(row: Row, metric: str, best: str | None) -> Text:
    text = figure_text(row, metric)
    if metric not in MARKED:
        return Text(text)
    return Text(f"{text}*", style="bold") if is_best(row, metric, best) else Text(text)


def _caption(rows: Sequence[Row]) -> str:
    unscored = max(int(row.get("n_unscored") or 0) for row in rows)
    if not unscored:
        return CAPTION
    return f"{CAPTION} Up to {unscored} unscored rows per line are not in these figures."
