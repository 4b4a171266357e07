"""What a directory given as answers holds: a finished stage, loose files, or shards that nothing vouches for."""

from collections import Counter
from collections.abc import Sequence

from raycalib.errors import DataError
from raycalib.stages.output import StageOutput, check_whole
from raycalib.stages.pools.parked import PARKED_NAME
from raycalib.storage import Location, read_manifest, read_shard
from raycalib.storage.shards import SHARD_NAME

NEEDED = ("row_id", "style", "context", "target", "answer", "error")
"""Columns of a stage without which its rows cannot be labelled."""


def open_stage(place: Location, given: str) -> StageOutput | None:
    """The finished stage that lies here; None where a directory is none, or where there is no directory.

    Raises:
        DataError: shards lie here without a manifest, so that which of them count is not known; or the manifest names
            shards that are not here, or its rows are no answers.
    """
    if place.is_local and not place.local_path.is_dir():
        return None
    names = place.names()
    manifest = read_manifest(place)
    if manifest is None:
        _refuse_loose_shards(names, given)
        return None
    if not manifest.shards:
        raise DataError(f"answers: {given} is a finished stage without rows; name another")
    check_whole(place, manifest)
    read_shard(place, manifest.shards[0], NEEDED)
    return StageOutput(place=place, manifest=manifest, was_done=True)


def _refuse_loose_shards(names: Sequence[str], given: str) -> None:
    attempts = Counter(match[1] for name in names if (match := SHARD_NAME.fullmatch(name)))
    n_parked = sum(1 for name in names if PARKED_NAME.fullmatch(name))
    if not attempts and not n_parked:
        return
    found = [f"files of {len(attempts)} shards"] if attempts else []
    twice = [f"part-{index}" for index, count in sorted(attempts.items()) if count > 1]
    if twice:
        found.append(f"several attempts at {_some(twice)}")
    if n_parked:
        found.append(f"{n_parked} parked")
    raise DataError(
        f"answers: {given} has shards and no manifest.json ({', '.join(found)}), so its stage is not finished and "
        "which of them count is not known; run the command that made it again to finish it, or copy the files that "
        "you want elsewhere under other names than part-…"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
