"""What a stage is made of: plain values, and the worker that does it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import re
from typing import Any

import pyarrow as pa

from raycalib.stages.pools.bounds import Bounds
from raycalib.stages.pools.shard_map import ShardWorker, TaskWorker

MOST_OF_A_PART = 80
"""Characters of a set's name in that of a directory, whose end is a hash of all that decides it."""


@dataclass(frozen=True, kw_only=True)
class ShardStage:
    """One stage of one set of rows.

    Attributes:
        name, variant, part: of its directory; the part tells the sets of a variant, such as ``training oe``.
        worker: class that does the work.
        config: what the worker is built from, plain values.
        task: what the worker does for this stage, of the several things that one loading can do; empty where it does
            one thing.
        identity: what decides the result, plain values; hashed and kept in the manifest.
        schema: of the output rows.
        cut_column: of the output, how many tokens of a row were cut off, to be counted; empty where nothing is cut.
        margin_column: of the output, how close a row's answer was to another; close ones are counted and listed in
            ``close_rows.jsonl``; empty where there is none.
        needs_model: workers are actors that load a model once, on the pool's CPUs and GPUs; others are tasks of one
            CPU.
        gpus: of one actor; None is what the cluster's settings say.
        shards_at_once: that one actor works on, in threads.
        waits_for_server: its workers mostly wait: they are not worth a node, and take no CPU from those that compute.
        keeps_figures: what its worker counts is kept with each shard, and summed over all runs in the manifest.
        details: more for the manifest, plain values.
        bounds: how many rows may be bad; no part of the identity.
    """

    name: str
    variant: str
    worker: type[ShardWorker] | type[TaskWorker]
    config: Any
    identity: Mapping[str, Any]
    schema: pa.Schema
    needs_model: bool
    part: str = ""
    task: str = ""
    cut_column: str = ""
    margin_column: str = ""
    gpus: float | None = None
    shards_at_once: int = 1
    waits_for_server: bool = False
    keeps_figures: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def title(self) -> str:
        """As a user reads it."""
        return " ".join(word for word in (self.name, self.variant, self.part) if word)

    @property
    def directory(self) -> str:
        """How its directory's name begins.

        >>> from dataclasses import replace
        >>> stage = ShardStage(name="answers", variant="llama2-7b", worker=object, config=None, identity={},
        ...                    schema=None, needs_model=True)
        >>> stage.directory, replace(stage, part="training oe").directory
        ('llama2-7b', 'llama2-7b-training-oe')
        """
        part = re.sub(r"[^\w.+-]+", "-", self.part)[:MOST_OF_A_PART]
        return "-".join(word for word in (self.variant, part) if word)

    @property
    def computes(self) -> bool:
        """Whether its workers take what a cluster has few of."""
        return self.needs_model and not self.waits_for_server


def check_one_pool(stages: Sequence[ShardStage]) -> None:
    """Holds stages that share a pool to what a pool has one of: the worker, its configuration, its resources."""
    first, *others = stages
    for stage in others:
        assert all(
            getattr(stage, name) == getattr(first, name)
            for name in ("worker", "config", "needs_model", "gpus", "shards_at_once", "waits_for_server")
        ), f"{first.title} and {stage.title} cannot share a pool"


def name_and_sets(stages: Sequence[ShardStage]) -> tuple[str, list[str]]:
    """What the stages of a pool have in common as a user reads it, and what tells each."""
    first = stages[0]
    if len(stages) == 1:
        return first.title, [""]
    if len({stage.variant for stage in stages}) == 1:
        return f"{first.name} {first.variant}", [stage.part for stage in stages]
    return first.name, [f"{stage.variant} {stage.part}".rstrip() for stage in stages]
