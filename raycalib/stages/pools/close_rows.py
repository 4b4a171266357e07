"""Rows whose answer hung on two nearly equal logits: the only ones that batch size or worker count may change."""

from collections.abc import Iterator, Sequence
import json
from typing import NamedTuple

import pyarrow as pa

from raycalib.stages.lines.progress import say
from raycalib.storage import Location

CLOSE_MARGIN = 1e-4
"""Distance of the two best logits below which rounding of float32 may choose the other."""

CLOSE_NAME = "close_rows.jsonl"


class CloseRow(NamedTuple):
    """A row and its smallest distance between the two best logits."""

    row_id: str
    min_margin: float


def close_rows(rows: pa.Table, margin_column: str) -> Iterator[CloseRow]:
    """The rows closer than ``CLOSE_MARGIN``, in order."""
    for row_id, margin in zip(rows["row_id"], rows[margin_column].to_pylist(), strict=True):
        if margin is not None and margin < CLOSE_MARGIN:
            yield CloseRow(row_id.as_py(), margin)


def list_close_rows(place: Location, found: Sequence[CloseRow], title: str) -> int:
    """Writes the close rows beside the shards, says how many there are, and returns it."""
    if found:
        place.write_bytes(CLOSE_NAME, "".join(json.dumps(row._asdict()) + "\n" for row in found).encode())
        say(
            f"  {title}: {len(found):,} rows have two best logits closer than {CLOSE_MARGIN:g}, so that rounding may "
            f"change them; listed in {(place / CLOSE_NAME).uri}"
        )
    return len(found)
