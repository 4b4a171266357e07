"""A stage's output narrowed to some splits; a shard holds one split, so shards are taken whole."""

from collections.abc import Sequence
from dataclasses import replace

from raycalib.hashing import stable_hash
from raycalib.stages.output import StageOutput
from raycalib.storage import read_tables


def select_splits(output: StageOutput, splits: Sequence[str]) -> StageOutput:
    """The output with only the shards of these splits, under a key of its own."""
    kept = []
    rows = 0
    for name, table in zip(output.shards, read_tables(output.place, output.shards, ["split"]), strict=True):
        if len(table) and table["split"][0].as_py() in splits:
            kept.append(name)
            rows += len(table)
    manifest = replace(
        output.manifest,
        key=stable_hash(output.key, sorted(splits)),
        shards=tuple(kept),
        counts={"out": rows},
    )
    return replace(output, manifest=manifest)
