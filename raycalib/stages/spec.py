"""What a stage is made of: plain values, and the worker that does it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from raycalib.stages.bounds import Bounds
from raycalib.stages.shard_map import ShardWorker


@dataclass(frozen=True, kw_only=True)
class ShardStage:
    """One stage.

    Attributes:
        name, variant: of its directory.
        worker: class that does the work.
        config: what the worker is built from, plain values.
        identity: what decides the result, plain values; hashed and kept in the manifest.
        schema: of the output rows.
        cut_column: of the output, how many tokens of a row were cut off, to be counted; empty where nothing is cut.
        margin_column: of the output, how close a row's answer was to another; close ones are counted and listed in
            ``close_rows.jsonl``; empty where there is none.
        needs_model: workers are actors that load a model once, on the pool's CPUs and GPUs; others are tasks of one
            CPU.
        gpus: of one actor; None is what the cluster's settings say.
        shards_at_once: that one actor works on, in threads.
        waits_for_server: its workers mostly wait, and are not worth a node.
        keeps_figures: what its worker counts is kept with each shard, and summed over all runs in the manifest.
        details: more for the manifest, plain values.
        bounds: how many rows may be bad; no part of the identity.
    """

    name: str
    variant: str
    worker: type[ShardWorker]
    config: Any
    identity: Mapping[str, Any]
    schema: pa.Schema
    needs_model: bool
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
        return f"{self.name} {self.variant}"
