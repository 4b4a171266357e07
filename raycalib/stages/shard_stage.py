"""Maps a directory of shards to another through a pool of Ray Data actors; the unit of work is one shard."""

import json

import ray

from raycalib.errors import ModelError
from raycalib.run_logs import RUN_LOGS
from raycalib.stages.bounds import UNSCORED, Tally, check_bounds, what_next
from raycalib.stages.close_rows import list_close_rows
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageError, StageOutput, drop_damaged_shards, finished, stage_key, stage_place
from raycalib.stages.parked import parked_names, sum_figures
from raycalib.stages.progress import ShardProgress, say
from raycalib.stages.shard_passes import shard_statuses
from raycalib.stages.spec import ShardStage
from raycalib.storage import Location, Manifest, find_shards, read_shard, write_manifest


def run_shard_stage(stage: ShardStage, source: StageOutput, out: Location, cluster: Cluster) -> StageOutput:
    """Runs what is missing of a stage and writes its manifest.

    Raises:
        StageError: shards could not be made, have rows to be done again, or have more bad rows than is allowed, with
            the first cause; what is made stays.
        ModelError: the stage's model cannot be loaded.
    """
    key = stage_key(stage.name, stage.identity, [source.key])
    place = stage_place(out, stage.name, stage.variant, key)
    if done := finished(place, key):
        check_bounds(done, stage.title, stage.bounds)
        return done
    for name in drop_damaged_shards(place, key):
        say(f"  {stage.title}: {(place / name).uri} is gone or damaged and is made again")
    expected = dict(enumerate(source.shards))
    missing = [index for index in expected if index not in find_shards(place)]
    if len(missing) < len(expected):
        say(f"  {stage.title}: {len(expected) - len(missing)} of {len(expected)} shards are there, doing the rest")
    progress = ShardProgress(stage.title, len(missing))
    causes, n_parked = _do_missing(stage, source, place, missing, cluster, progress) if missing else ({}, 0)
    shards = find_shards(place)
    failed = [index for index in expected if index not in shards]
    if failed:
        raise _not_made(stage.title, [expected[index] for index in failed], len(expected), n_parked, causes)
    ordered = tuple(shards[index] for index in expected)
    manifest = Manifest(
        stage=stage.name,
        key=key,
        config=dict(stage.identity),
        inputs=(source.key,),
        shards=ordered,
        counts=_said_counts(stage, source, place, ordered, stage.title),
        details={**progress.details(), **stage.details, **_kept_figures(stage, place, ordered)},
    )
    output = StageOutput(place=place, manifest=manifest, was_done=False)
    check_bounds(output, stage.title, stage.bounds)
    write_manifest(place, manifest)
    return output


def _do_missing(
    stage: ShardStage,
    source: StageOutput,
    place: Location,
    missing: list[int],
    cluster: Cluster,
    progress: ShardProgress,
) -> tuple[dict[int, str], int]:
    """Does these shards; the causes of those that were not made, by index, and the number of rows that are parked.

    Raises:
        StageError: most rows of the first shards are bad; the others are not done.
        ModelError: the stage's model cannot be loaded.
    """
    causes: dict[int, str] = {}
    n_parked, tally = 0, Tally()
    statuses = shard_statuses(stage, source, place, missing, cluster)
    try:
        for status in statuses:
            if status["unusable"]:  # as it would be for every other shard
                raise ModelError(str(status["unusable"]))
            if status["cause"]:
                causes[int(status["shard"])] = str(status["cause"])
            n_parked += int(status["parked"])
            progress.add(int(status["rows"]), int(status["errors"]), json.loads(status["figures"]))
            tally.join(Tally(**json.loads(status["tally"])))
            if tally.shards < len(missing) and (problem := tally.early_problem(stage.bounds)):
                raise StageError(
                    f"{stage.title}: stopped after {tally.shards} of {len(missing)} shards: {problem}; "
                    f"{what_next(tally, place)}"
                )
    except ray.exceptions.RayError as error:
        causes[-1] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    finally:
        statuses.close()  # ends the workers where not all shards are wanted
    return causes, n_parked


def _not_made(title: str, failed: list[str], n_shards: int, n_parked: int, causes: dict[int, str]) -> StageError:
    """What is missing, and why."""
    cause = next(iter(causes.values()), f"its worker died each time; the cause is in {RUN_LOGS.where}")
    if n_parked:
        return StageError(
            f"{title}: {n_parked:,} rows are parked, the others are kept: {cause}; "
            "run the same command again to do only these, or with --judge.give-up to leave those unscored that "
            "are asked and get no reply"
        )
    names = ", ".join(failed[:5]) + (" …" if len(failed) > 5 else "")
    return StageError(
        f"{title}: {len(failed)} of {n_shards} shards failed ({names}): {cause}; "
        "run the same command again to retry only these"
    )


def _said_counts(
    stage: ShardStage, source: StageOutput, place: Location, shards: tuple[str, ...], title: str
) -> dict[str, int]:
    """The counts, after saying what a user should know of them."""
    counts = _counts(stage, source, place, shards)
    if n_cut := counts.get("cut_on_the_left"):
        say(f"  {title}: {n_cut:,} rows were longer than the model can read and lost the left of their text")
    if stage.margin_column:
        counts["close"] = list_close_rows(place, shards, stage.margin_column, title)
    return counts


def _kept_figures(stage: ShardStage, place: Location, shards: tuple[str, ...]) -> dict[str, float]:
    """What the stage's shards took, those that were parked among them."""
    return sum_figures(place, [*shards, *parked_names(place)]) if stage.keeps_figures else {}


def _counts(stage: ShardStage, source: StageOutput, place: Location, shards: tuple[str, ...]) -> dict[str, int]:
    """Rows in, out, failed and cut, read back from what was written."""
    wanted = [name for name in ("row_id", "error", UNSCORED, stage.cut_column) if name in stage.schema.names]
    rows_out = errors = cut = unscored = 0
    for name in shards:
        rows = read_shard(place, name, wanted)
        rows_out += len(rows)
        errors += sum(1 for row in rows if row.get("error"))
        unscored += sum(1 for row in rows if row.get(UNSCORED))
        cut += sum(1 for row in rows if row.get(stage.cut_column))
    counts = {"in": source.manifest.counts.get("out", 0), "out": rows_out, "errors": errors}
    if UNSCORED in stage.schema.names:
        counts["unscored"] = unscored
    return counts | {"cut_on_the_left": cut} if stage.cut_column else counts
