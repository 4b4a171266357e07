"""How many labelled rows there are to tune on: who asks for as many or more asks for all of them."""

from functools import cache

from raycalib.stages.output import StageOutput
from raycalib.storage import Location, read_rows

COLUMNS = ("split", "style", "query_label")


def n_train_rows(labelled: StageOutput, style: str) -> int:
    """Rows of ``train`` that have a label; they are counted once."""
    return _counted(labelled.place.uri, labelled.key, labelled.shards, style)


def train_rows_within(wanted: int, labelled: StageOutput, style: str) -> int:
    """The setting ``train_rows`` as it names a trial: 0, which is all, where no more rows than it says have a label."""
    return 0 if wanted and n_train_rows(labelled, style) <= wanted else wanted


@cache
def _counted(uri: str, key: str, shards: tuple[str, ...], style: str) -> int:
    rows = read_rows(Location(uri), shards, COLUMNS)
    return sum(row["split"] == "train" and row["style"] == style and row["query_label"] is not None for row in rows)
