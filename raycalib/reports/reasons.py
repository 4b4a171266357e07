"""Why figures are missing or say nothing, in lines below tables and on the page."""

from collections.abc import Sequence

from raycalib.printable import printable_line
from raycalib.reports.figures import Combo, Row, combos, select
from raycalib.reports.wording import in_order, method_name, split_name


def reason_lines(summary: Sequence[Row]) -> list[str]:
    """Returns one line per combo and reason, naming the methods and splits that it is about; empty where all is well.

    Args:
        summary: The report's summary rows; ``reason`` is empty, or absent, where figures stand for themselves.
    """
    return [line for combo in combos(summary) for line in _of_combo(combo, select(summary, combo))]


def _of_combo(combo: Combo, rows: Sequence[Row]) -> list[str]:
    splits = list(dict.fromkeys(str(row["split"]) for row in rows))
    lines = []
    for reason in dict.fromkeys(str(row["reason"]) for row in rows if row.get("reason")):
        mine = [row for row in rows if row.get("reason") == reason]
        of_splits = [split for split in splits if any(row["split"] == split for row in mine)]
        others = {str(row["method"]) for row in rows if row["split"] in of_splits and not row.get("reason")}
        where = [split_name(split) for split in of_splits] if of_splits != splits else []
        methods = [method_name(method) for method in in_order(str(row["method"]) for row in mine)]
        about = methods if others or any(not row.get("n") for row in mine) else []
        lines.append(printable_line(f"{', '.join([str(combo), *where, *about])}: {reason}."))
    return lines
