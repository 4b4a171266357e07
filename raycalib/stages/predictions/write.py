"""Predictions of methods written while the rows are read: one shard for each name, whatever the number of rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raycalib.errors import DataError
from raycalib.records import PREDICTION
from raycalib.stages.output import StageOutput
from raycalib.stages.predictions.evidence import LOGITS, Evidence, EvidenceSource
from raycalib.stages.predictions.method_logits import ANSWERED, Predictor
from raycalib.stages.predictions.prediction import KEPT, Variant
from raycalib.storage import Location
from raycalib.storage.shard_writer import ShardWriter, writing_shard
from raycalib.storage.tables import read_table, read_tables

EVIDENCE_COLUMNS = (*KEPT, *ANSWERED)
"""What predictions need of a labelled answer."""

Take = Callable[[pa.Table], None]
"""Is shown what is written."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A method's predictions to be written.

    Attributes:
        predictor: what gives them.
        variants: a shard each.
        take: is shown those of the first variant.
    """

    predictor: Predictor
    variants: Sequence[Variant]
    take: Take = lambda rows: None


class Written(NamedTuple):
    """Shards of predictions.

    Attributes:
        shards: file names in the order of the variants.
        n_rows: of each.
        n_in: rows of the evidence.
    """

    shards: tuple[str, ...]
    n_rows: tuple[int, ...]
    n_in: int


def write_predictions(place: Location, planned: Sequence[Planned], source: EvidenceSource) -> Written:
    """Writes the shards of all methods, reading the evidence once, and each tuned model's rows once.

    What combines others comes last, and is shown all of its rows at once.

    Raises:
        DataError: the evidence does not fit together.
        StorageError: something cannot be read or written.
    """
    firsts = [sum(len(before.variants) for before in planned[:number]) for number in range(len(planned))]
    shards, n_in = dict[int, ShardWriter](), 0
    placed = list(zip(planned, firsts, strict=True))
    combining = [(plan, first) for plan, first in placed if plan.predictor.signals]
    alone = [(plan, first) for plan, first in placed if plan.predictor.scored is not None]
    together = [each for each in placed if each not in combining and each not in alone]
    blocks = source.blocks(any(plan.predictor.reads_features for plan, _ in together))
    of_method = {plan.variants[0].name: first for plan, first in placed}
    for plans, read in [
        (together, blocks),
        *(([each], _scored(each[0].predictor, source.style)) for each in alone),
        *(([each], _signals(place, each[0].predictor.signals, of_method, shards)) for each in combining),
    ]:
        with ExitStack() as stack:
            for plan, first in plans:
                for index in range(first, first + len(plan.variants)):
                    shards[index] = stack.enter_context(writing_shard(place, index, PREDICTION))
            for block in read:
                n_in += len(block.table) if plans is together else 0
                for plan, first in plans:
                    _write(plan, block, [shards[first + number] for number in range(len(plan.variants))])
    ordered = [shards[index] for index in sorted(shards)]
    return Written(tuple(shard.name for shard in ordered), tuple(shard.n_rows for shard in ordered), n_in)


def _write(plan: Planned, block: Evidence, shards: Sequence[ShardWriter]) -> None:
    log_odds = plan.predictor.log_odds(block)
    for variant, shard in zip(plan.variants, shards, strict=True):
        rows = variant.predictions(block.table, log_odds)
        if variant is plan.variants[0]:
            plan.take(rows)
        shard.add(rows)


def _signals(
    place: Location, signals: Sequence[str], of_method: Mapping[str, int], shards: Mapping[int, ShardWriter]
) -> Iterator[Evidence]:
    """The rows of methods that were just written, with the log-odds of each as a column of its name."""
    first, *others = (shards[of_method[name]].name for name in signals)
    rows = read_table(place, first, [*KEPT, "logit"]).rename_columns([*KEPT, signals[0]])
    for name, shard in zip(signals[1:], others, strict=True):
        said = read_table(place, shard, ["row_id", "logit"])
        if not said["row_id"].equals(rows["row_id"]):
            raise DataError(f"{place.uri}: {name} and {signals[0]} are not of the same rows; delete it and run again")
        rows = rows.append_column(name, said["logit"])
    yield Evidence(rows, np.zeros((len(rows), 0), dtype=np.float32))


def _scored(predictor: Predictor, style: str) -> Iterator[Evidence]:
    """Blocks of what a tuned model says of the rows of a style."""
    output = predictor.scored
    assert isinstance(output, StageOutput), "it is read alone"
    for table in read_tables(output.place, output.shards, [*KEPT, *LOGITS]):
        rows = table.filter(pc.equal(table["style"], style))
        yield Evidence(rows, np.zeros((len(rows), 0), dtype=np.float32))
