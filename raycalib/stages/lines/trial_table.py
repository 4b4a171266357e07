"""A table of trials at work, as lines that fit a terminal: a row each, and a last line of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import io

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from raycalib.printable import printable_line
from raycalib.secrets import hide_message
from raycalib.stages.lines.beats import Doing

ID_LENGTH = 8
"""Characters of a key that name a trial, as ``--status`` does."""

COLUMNS = ("trial", "combo", "title", "step", "loss", "val NLL", "tokens/s", "left")
DROPPED = ("tokens/s", "loss", "left", "combo", "val NLL", "title")
"""Columns in the order in which they go where a terminal is narrow."""

OF_NUMBERS = COLUMNS[3:]
LEAST_TITLE = 16
INDENT, GAP = 2, 2


@dataclass(frozen=True)
class TrialRow:
    """A trial at work: its key, combo and title, and what it is at, if it has said so."""

    key: str
    combo: str
    title: str
    doing: Doing | None


@dataclass(frozen=True, kw_only=True)
class TrialsSummary:
    """Of all trials: how many are in which state, the least NLL so far and where, and seconds since the beginning."""

    counts: Mapping[str, int]
    best_nll: float | None
    best_where: str
    elapsed_s: float
    left_s: float | None


def table_lines(rows: Sequence[TrialRow], summary: TrialsSummary, columns: int, lines: int) -> list[str]:
    """At most so many lines of at most so many columns: the newest trials, how many more there are, and all in sum."""
    most = lines - 2  # beside the head and the last line
    last = _summary_line(summary)
    if most < 1:
        return [last][: max(0, lines)]
    n_shown = len(rows) if len(rows) <= most else most - 1
    shown = rows[len(rows) - n_shown :]
    more = [f"  … {len(rows) - n_shown} more"] if n_shown < len(rows) else []
    return [*_table(shown, columns), *more, last]


def _table(rows: Sequence[TrialRow], columns: int) -> list[str]:
    cells = [dict(zip(COLUMNS, COLUMNS, strict=True)), *map(_cells, rows)]
    widths = {name: max(cell_len(row[name]) for row in cells) for name in COLUMNS}
    names = _fitting_names(widths, columns)
    free = columns - INDENT - sum(widths[name] + GAP for name in names if name != "title")
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for name in names:
        table.add_column(justify="right" if name in OF_NUMBERS else "left", no_wrap=True)
    for row in cells:
        texts = {name: Text(row[name]) for name in names}
        if "title" in texts:
            texts["title"].truncate(max(1, free), overflow="ellipsis")
        table.add_row(*texts.values())
    stream = io.StringIO()
    wide = sum(widths.values()) + GAP * len(widths)  # nothing wraps; the console cuts what is wider than a terminal
    Console(file=stream, width=wide, color_system=None, force_terminal=False, legacy_windows=False).print(table)
    return [f"{' ' * INDENT}{line}".rstrip() for line in stream.getvalue().splitlines()]


def _fitting_names(widths: Mapping[str, int], columns: int) -> list[str]:
    """The columns that a terminal has room for, a title cut as far as it may be."""
    least = {**widths, "title": min(widths["title"], LEAST_TITLE)}
    names = list(COLUMNS)
    for name in DROPPED:
        if INDENT + sum(least[each] for each in names) + GAP * (len(names) - 1) <= columns:
            break
        names.remove(name)
    return names


def _cells(row: TrialRow) -> dict[str, str]:
    doing = row.doing or Doing(at="starts")
    return {
        "trial": _plain(row.key[:ID_LENGTH]),
        "combo": _plain(row.combo),
        "title": _plain(row.title),
        "step": f"{doing.step}/{doing.steps}" if doing.step else _plain(doing.at),
        "loss": _number(doing.loss, ".3f"),
        "val NLL": _number(doing.val_nll, ".4f"),
        "tokens/s": _number(doing.tokens_per_s, ",.0f"),
        "left": "" if doing.left_s is None else span(doing.left_s),
    }


def _summary_line(summary: TrialsSummary) -> str:
    counts = ", ".join(f"{n} {state}" for state, n in summary.counts.items() if n)
    left = "" if summary.left_s is None else f", about {span(summary.left_s)} left"
    best = "" if summary.best_nll is None else f" · least val NLL {summary.best_nll:.4f}, {_plain(summary.best_where)}"
    return f"  {counts or 'no trials'} · {span(summary.elapsed_s)}{left}{best}"


def _plain(text: str) -> str:
    return printable_line(hide_message(text))


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def span(seconds: float) -> str:
    """A time as people say it.

    >>> span(42.4), span(754), span(11100)
    ('42 s', '13 min', '3 h 05 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
