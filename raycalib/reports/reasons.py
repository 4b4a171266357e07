"""Why figures are missing or say nothing, in lines below tables and on the page."""

from collections.abc import Sequence

from raycalib.evaluation.methods import temperature_of
from raycalib.printable import printable_line
from raycalib.reports.evaluation_sets import OF_EVERY_SET, all_sets, in_every_set, set_of
from raycalib.reports.figures import Combo, Row, combo_of, combos, is_hole, select
from raycalib.reports.wording import in_order, method_name, split_name

FEW = 3
"""So many methods are named; more are said in a word where they are all that there are."""


def reason_lines(summary: Sequence[Row], holes: Sequence[Row] = ()) -> list[str]:
    """Returns one line per combo and reason, naming the methods and splits that it is about; empty where all is well.

    Args:
        summary: The report's summary rows; ``reason`` is empty, or absent, where figures stand for themselves.
        holes: The report's "holes": what has no rows at all.
    """
    rows = in_every_set(summary)
    lines = [line for combo in combos(rows) for line in _of_combo(combo, select(rows, combo))]
    told = {(combo_of(row), str(row["reason"])) for row in rows if row.get("reason")}
    untold = [hole for hole in holes if (combo_of(hole), str(hole.get("reason"))) not in told]
    return list(dict.fromkeys([*lines, *hole_lines(untold)]))


def hole_lines(holes: Sequence[Row]) -> list[str]:
    """Returns one line per combo, evaluation set and reason of what failed, naming the methods where it was not all.

    >>> hole_lines([{"model": "mistral:7b", "style": "oe", "method": "", "reason": "out of memory"}])
    ['mistral:7b oe: out of memory.']
    """
    methods: dict[tuple[Combo, str, str], list[str]] = {}
    for hole in holes:
        key = (combo_of(hole), set_of(hole), str(hole.get("reason") or "it failed"))
        methods.setdefault(key, []).append(str(hole.get("method") or ""))
    lines = []
    for (combo, split, reason), failed in methods.items():
        where = [split_name(split)] if split != OF_EVERY_SET else []
        lines.append(_line(combo, where, [method_name(method) for method in in_order(failed) if method], reason))
    return lines


def _of_combo(combo: Combo, rows: Sequence[Row]) -> list[str]:
    splits = all_sets(rows)
    lines = []
    for reason in dict.fromkeys(str(row["reason"]) for row in rows if row.get("reason")):
        mine = [row for row in rows if row.get("reason") == reason]
        of_splits = [split for split in splits if any(set_of(row) == split for row in mine)]
        there = [row for row in rows if set_of(row) in of_splits]
        where = [split_name(split) for split in of_splits] if of_splits != splits else []
        lines.append(_line(combo, where, _about(mine, there), reason))
    return lines


def _about(mine: Sequence[Row], there: Sequence[Row]) -> list[str]:
    """The names of the methods of some rows; none where the reason is about all rows of the same sets as such."""
    methods, every = ({str(row["method"]) for row in rows} for rows in (mine, there))
    if all(row.get("reason") for row in there) and all(row.get("n") for row in mine):
        return []
    if len(methods) > FEW and methods == every and all(map(is_hole, mine)):
        return ["every method"]
    if len(methods) > FEW and methods == {method for method in every if temperature_of(method)}:
        return ["every method + temperature"]
    return [method_name(method) for method in in_order(methods)]


def _line(combo: Combo, where: Sequence[str], methods: Sequence[str], reason: str) -> str:
    return printable_line(f"{', '.join([str(combo), *where, *methods])}: {reason.rstrip('.')}.")
