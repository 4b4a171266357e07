"""From records to what models read, and a bad row that costs itself alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from raycalib.prompts import Example
from raycalib.records import Row


def example_text(row: Row) -> str:
    """What the model reads before it answers."""
    return _example(row).text()


def queried_text(row: Row, with_header: bool = False) -> str:
    """The example as a query about its answer shows it; a judge never sees the few-shot header."""
    return queried_example(row, with_header).text()


def queried_example(row: Row, with_header: bool = False) -> Example:
    """The example that a query is about, with the few-shot header that it was answered with or without one."""
    return _example(row) if with_header else replace(_example(row), prompt="")


def _example(row: Row) -> Example:
    return Example(
        context=row["context"], target=row["target"], target_prompt=row["target_prompt"], prompt=row["prompt"]
    )


ROW_FAULTS = (ValueError, TypeError, KeyError, IndexError)
"""What a row's own content can cause; anything else (a device, a disk, memory) fails the shard, to be retried."""


def all_or_each(
    rows: list[Row], do: Callable[[Sequence[Row]], list[Row]], failed: Callable[[Row, str], Row]
) -> list[Row]:
    """All rows at once; where a row's content makes that fail, one by one, so that it costs itself alone.

    ``do`` keeps the order, by which results are matched with rows: ids may occur twice. Rows that failed in an earlier
    stage are not tried again.

    Raises:
        Exception: what no row can cause, such as a device's error or memory that has run out.
    """
    good = [index for index, row in enumerate(rows) if not row.get("error")]
    done: dict[int, Row] = {}
    batch_failed = False
    try:
        done = dict(zip(good, do([rows[index] for index in good]), strict=True)) if good else {}
    except ROW_FAULTS:
        batch_failed = True
    for index in good if batch_failed else ():
        try:
            done[index] = do([rows[index]])[0]
        except ROW_FAULTS as error:
            done[index] = failed(rows[index], f"{type(error).__name__}: {error}".splitlines()[0])
    return [done[index] if index in done else failed(row, row["error"]) for index, row in enumerate(rows)]
