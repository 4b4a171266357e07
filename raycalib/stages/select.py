"""A stage's output narrowed to some splits; a shard holds one split, so shards are taken whole."""

from collections.abc import Sequence
from dataclasses import replace

from raycalib.hashing import stable_hash
from raycalib.stages.output import StageOutput
from raycalib.storage import read_shard


def select_splits(output: StageOutput, splits: Sequence[str]) -> StageOutput:
    """The output with only the shards of these splits, under a key of its own."""
    kept = []
    rows = 0
    for name in output.shards:
        of_shard = [row["split"] for row in read_shard(output.place, name, ["split"])]
        if of_shard and of_shard[0] in splits:
            kept.append(name)
            rows += len(of_shard)
    manifest = replace(
        output.manifest,
        key=stable_hash(output.key, sorted(splits)),
        shards=tuple(kept),
        counts={"out": rows},
    )
    return replace(output, manifest=manifest)
