"""What the shards of a stage say once all are there: counts, close rows, what they took; each is read once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from raycalib.stages.pools.bounds import UNSCORED
from raycalib.stages.pools.close_rows import CloseRow, close_rows
from raycalib.stages.pools.parked import add_figures
from raycalib.stages.pools.spec import ShardStage
from raycalib.storage import Location, read_tables


@dataclass
class ReadBack:
    """What was read so far.

    Attributes:
        rows, errors, unscored, cut: how many rows there are, failed, have no label, and lost some of their text.
        close: rows whose answer hung on two nearly equal logits.
        figures: what making the shards took, by name.
    """

    rows: int = 0
    errors: int = 0
    unscored: int = 0
    cut: int = 0
    close: list[CloseRow] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


def read_back(stage: ShardStage, place: Location, shards: Sequence[str]) -> ReadBack:
    """Reads the few columns of a stage's shards that are counted.

    Args:
        stage: which.
        place: of its shards.
        shards: file names, in order.
    """
    found, counted = ReadBack(), ["error", UNSCORED, stage.cut_column]
    listed = ["row_id", stage.margin_column] if stage.margin_column else []
    wanted = [name for name in dict.fromkeys([*counted, *listed]) if name in stage.schema.names]
    for table in read_tables(place, shards, wanted or ["row_id"]):
        found.rows += len(table)
        found.errors += _n_set(table, "error")
        found.unscored += _n_set(table, UNSCORED)
        found.cut += _n_set(table, stage.cut_column)
        if stage.margin_column:
            found.close += close_rows(table, stage.margin_column)
        if stage.keeps_figures:
            add_figures(found.figures, table.schema)
    return found


def _n_set(table: pa.Table, name: str) -> int:
    """Rows of which a column says something: it is there, and neither null, nor empty, nor 0."""
    if name not in table.column_names or table[name].null_count == len(table):
        return 0
    return sum(1 for value in table[name].to_pylist() if value)
