"""The first stage: questions of a source, written as shards. No Ray: it takes a second."""

from collections.abc import Sequence

from raycalib.records import QUESTION, Row
from raycalib.sources import SourceSettings, draw_questions, source_identity
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place
from raycalib.storage import Location, Manifest, write_manifest, write_shard


def write_questions(
    settings: SourceSettings, styles: Sequence[str], seed: int, rows_per_shard: int, out: Location
) -> StageOutput:
    """Questions of all splits in all styles; a shard holds one split and style, in an order drawn from the seed.

    Args:
        settings: which source, and how many rows of each split.
        styles: prompt styles.
        seed: redraws splits, phrasings and options.
        rows_per_shard: at most so many.
        out: the run's directory.
    """
    identity = {**source_identity(settings), "styles": list(styles), "seed": seed, "rows_per_shard": rows_per_shard}
    key = stage_key("questions", identity, [])
    place = stage_place(out, "questions", settings.slug, key)
    if done := finished(place, key):
        return done
    shards: list[str] = []
    counts = {"in": 0, "out": 0, "errors": 0}
    for split, style, rows in draw_questions(settings, styles, seed):
        counts[f"{split}/{style}"] = len(rows)
        counts["in"] += len(rows)
        counts["out"] += len(rows)
        for start in range(0, len(rows), rows_per_shard):
            shards.append(_write(place, len(shards), rows[start : start + rows_per_shard]))
    manifest = Manifest(stage="questions", key=key, config=identity, shards=tuple(shards), counts=counts)
    write_manifest(place, manifest)
    return StageOutput(place=place, manifest=manifest, was_done=False)


def _write(place: Location, index: int, rows: list[Row]) -> str:
    return write_shard(place, index, rows, QUESTION)
