"""Which evaluation sets a report has, and in what order they are shown.

A row's ``split`` is the name of its evaluation set: ``test`` and ``heldout_families`` of the dataset, the part of test
with fresh entities, or any name of an evaluation set of its own. A row without one is of a combo that failed before
its sets were evaluated: it stands for a hole in all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from raycalib.reports.figures import Row, combo_of

TEST, FRESH, HELDOUT = "test", "test_fresh_entities", "heldout_families"
KNOWN_SETS = (TEST, FRESH, HELDOUT)
OF_EVERY_SET = ""
SPLIT_TABLES = ("summary", "reliability", "risk_coverage")


def set_of(row: Row) -> str:
    """Returns the name of the row's evaluation set; empty where it has none."""
    return str(row.get("split") or OF_EVERY_SET)


def all_sets(rows: Iterable[Row]) -> list[str]:
    """Returns the evaluation sets that have rows: the dataset's own first, then others as they first occur.

    >>> all_sets([{"split": "mmlu"}, {"split": "heldout_families"}, {"split": "arc"}, {"split": "test"}])
    ['test', 'heldout_families', 'mmlu', 'arc']
    """
    present = dict.fromkeys(map(set_of, rows))
    return [name for name in KNOWN_SETS if name in present] + [name for name in present if name not in KNOWN_SETS]


def main_sets(rows: Iterable[Row]) -> list[str]:
    """Returns the evaluation sets without the fresh entities, which are a part of test.

    >>> main_sets([{"split": "test_fresh_entities"}, {"split": "mmlu"}, {"split": "test"}])
    ['test', 'mmlu']
    """
    return [name for name in all_sets(rows) if name != FRESH]


def main_split(report: Mapping[str, Any]) -> str:
    """Returns the evaluation set of the headlines: test, or else the first that has rows.

    >>> main_split({"summary": [{"split": "mmlu"}, {"split": "heldout_families"}]})
    'heldout_families'
    """
    rows = [row for name in SPLIT_TABLES for row in report.get(name, ()) if set_of(row) != OF_EVERY_SET]
    return next(iter(main_sets(rows)), TEST)


def in_every_set(summary: Sequence[Row]) -> list[Row]:
    """Returns the rows, and those without an evaluation set as a hole of each set that their method has no row in.

    Where no row has a set they stay as they are.
    """
    named = [row for row in summary if set_of(row) != OF_EVERY_SET]
    there = {(combo_of(row), str(row.get("method")), set_of(row)) for row in named}
    spread = [
        {**row, "split": name}
        for row in summary
        if set_of(row) == OF_EVERY_SET
        for name in all_sets(named)
        if (combo_of(row), str(row.get("method")), name) not in there
    ]
    return [*named, *spread] if named else list(summary)
