"""Maps a directory of shards to another through a pool of Ray Data actors; the unit of work is one shard."""

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
import json
import math
from typing import Any
import warnings

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy
from ray.util.annotations import RayDeprecationWarning

from raycalib.errors import ModelError
from raycalib.run_logs import RUN_LOGS
from raycalib.stages.bounds import UNSCORED, Bounds, Tally, check_bounds, kept
from raycalib.stages.close_rows import list_close_rows
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageError, StageOutput, drop_damaged_shards, finished, stage_key, stage_place
from raycalib.stages.parked import parked_names, sum_figures
from raycalib.stages.progress import ShardProgress, say
from raycalib.stages.room import gone_nodes
from raycalib.stages.shard_map import ShardMap, ShardWorker
from raycalib.stages.standstill import watch
from raycalib.storage import Location, Manifest, find_shards, read_shard, write_manifest

MAX_SHARD_RETRIES = 2


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
        shards_at_once: that one actor works on, in threads; more than one for workers that wait for a server.
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
    keeps_figures: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def title(self) -> str:
        """As a user reads it."""
        return f"{self.name} {self.variant}"


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
    title = f"{stage.name} {stage.variant}"
    for name in drop_damaged_shards(place, key):
        say(f"  {title}: {(place / name).uri} is gone or damaged and is made again")
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
    statuses = _statuses(stage, source, place, missing, cluster)
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
                    f"{stage.title}: stopped after {tally.shards} of {len(missing)} shards: {problem}; {kept(place)}"
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


def _statuses(
    stage: ShardStage, source: StageOutput, place: Location, missing: list[int], cluster: Cluster
) -> Generator[Any, None, None]:
    """Status rows, one per shard, as they come.

    A node that goes away fails a shard within moments as often as it may be retried: what was lost so is done again.
    """
    cluster.connect()
    while missing:
        gone, settled = gone_nodes(), set()
        with closing(iter(_one_pass(stage, source, place, missing, cluster))) as statuses:
            for status in statuses:
                settled.add(int(status["shard"]))
                yield status
        missing = [index for index in missing if index not in settled]
        if not missing or gone_nodes() <= gone:
            return
        say(f"  {stage.name} {stage.variant}: a node went away, doing {len(missing)} shards again")


def _one_pass(stage: ShardStage, source: StageOutput, place: Location, missing: list[int], cluster: Cluster) -> Any:
    """Status rows of one pool."""
    settings = cluster.settings
    gpus = 0.0 if not stage.needs_model else settings.gpus_per_worker if stage.gpus is None else stage.gpus
    cpus = settings.cpus_per_worker if stage.needs_model else 1.0
    dataset = ray.data.from_items(
        [{"shard": index, "name": source.shards[index]} for index in missing], override_num_blocks=len(missing)
    )
    watch(dataset, f"{stage.name} {stage.variant}", cpus, gpus, settings.wait_for_nodes_s)
    arguments = (stage.worker, stage.config, source.place, place, stage.schema, stage.keeps_figures)
    with warnings.catch_warnings():
        # Ray 2.60 deprecates ray_remote_args_fn before it has another parameter for the bounds of retries.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        if not stage.needs_model:
            mapped = dataset.map_batches(
                ShardMap(*arguments), batch_size=1, num_cpus=cpus, ray_remote_args_fn=_bounded_task_retries
            )
            return mapped.iter_rows()
        size = cluster.pool_size(len(missing), gpus, waits_for_server=stage.shards_at_once > 1)
        at_once = at_once_of(stage.shards_at_once, len(missing), size.initial)
        mapped = dataset.map_batches(
            ShardMap,
            fn_constructor_args=arguments,
            batch_size=1,
            compute=ActorPoolStrategy(
                min_size=size.smallest,
                max_size=size.largest,
                initial_size=size.initial,
                max_tasks_in_flight_per_actor=at_once,  # a shard waiting behind a deadly one would die with it
                max_concurrent_calls_per_actor=at_once,
                enable_true_multi_threading=at_once > 1,
            ),
            num_cpus=cpus,
            num_gpus=gpus,
            ray_remote_args_fn=_bounded_actor_retries,
        )
    return mapped.iter_rows()


def at_once_of(most: int, n_shards: int, n_actors: int) -> int:
    """Shards that each of the actors that are there at first takes at once; not all for one and none for another.

    >>> at_once_of(8, 6, 2), at_once_of(8, 100, 2), at_once_of(1, 100, 2), at_once_of(8, 1, 2)
    (3, 8, 1, 1)
    """
    return min(most, math.ceil(n_shards / n_actors))


def _bounded_task_retries() -> dict[str, Any]:
    """Ray Data's own default retries a task that kills its worker for ever."""
    return {"max_retries": MAX_SHARD_RETRIES}


def _bounded_actor_retries() -> dict[str, Any]:
    """Ray's own defaults retry a shard that kills its worker for ever.

    The actors themselves come back without end: a pool whose last actor may not be restarted waits for ever.
    """
    return {"max_restarts": -1, "max_task_retries": MAX_SHARD_RETRIES}


def _said_counts(
    stage: ShardStage, source: StageOutput, place: Location, shards: tuple[str, ...], title: str
) -> dict[str, int]:
    """The counts, after saying what a user should know of them."""
    counts = _counts(stage, source, place, shards)
    if n_cut := counts.get("cut_on_the_left"):
        say(f"  {title}: {n_cut:,} rows were longer than the model can read and lost the left of their context")
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
