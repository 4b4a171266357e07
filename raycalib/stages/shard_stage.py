"""Maps a directory of shards to another through a pool of Ray Data actors; the unit of work is one shard."""

from collections.abc import Mapping
from dataclasses import dataclass
import time
import traceback
from typing import Any, Protocol
import warnings

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy
from ray.util.annotations import RayDeprecationWarning

from raycalib.errors import DataError
from raycalib.records import Row
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageError, StageOutput, finished, stage_key, stage_place
from raycalib.stages.progress import ShardProgress, say
from raycalib.storage import Location, Manifest, find_shards, read_shard, write_manifest, write_shard

MAX_ACTOR_RESTARTS = 3
MAX_SHARD_RETRIES = 2
POOL_GROWS_ABOVE = 0.75


class ShardWorker(Protocol):
    """Built once per actor from a plain configuration; ``process`` maps the rows of one shard."""

    def __init__(self, config: Any) -> None: ...

    def process(self, rows: list[Row]) -> list[Row]:
        """Output rows; a row that failed has its ``error`` set, none is left out."""


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
        needs_model: workers are actors that load a model once, on the pool's CPUs and GPUs; others are tasks of one
            CPU.
    """

    name: str
    variant: str
    worker: type[ShardWorker]
    config: Any
    identity: Mapping[str, Any]
    schema: pa.Schema
    needs_model: bool
    cut_column: str = ""


def run_shard_stage(stage: ShardStage, source: StageOutput, out: Location, cluster: Cluster) -> StageOutput:
    """Runs what is missing of a stage and writes its manifest.

    Raises:
        StageError: shards could not be made, with their names and the first cause; those made stay.
    """
    key = stage_key(stage.name, stage.identity, [source.key])
    place = stage_place(out, stage.name, stage.variant, key)
    if done := finished(place, key):
        return done
    expected = dict(enumerate(source.shards))
    missing = [index for index in expected if index not in find_shards(place)]
    title = f"{stage.name} {stage.variant}"
    if len(missing) < len(expected):
        say(f"  {title}: {len(expected) - len(missing)} of {len(expected)} shards are there, doing the rest")
    progress = ShardProgress(title, len(missing))
    causes: dict[int, str] = {}
    if missing:
        try:
            for status in _statuses(stage, source, place, missing, cluster):
                if status["cause"]:
                    causes[int(status["shard"])] = str(status["cause"])
                progress.add(int(status["rows"]), int(status["errors"]))
        except ray.exceptions.RayError as error:
            causes[-1] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    shards = find_shards(place)
    failed = [index for index in expected if index not in shards]
    if failed:
        names = ", ".join(expected[index] for index in failed[:5]) + (" …" if len(failed) > 5 else "")
        cause = next(iter(causes.values()), "its worker died each time; see the Ray logs for the cause")
        raise StageError(
            f"{title}: {len(failed)} of {len(expected)} shards failed ({names}): {cause}; "
            "run the same command again to retry only these"
        )
    ordered = tuple(shards[index] for index in expected)
    counts = _counts(stage, source, place, ordered)
    if n_cut := counts.get("cut_on_the_left"):
        say(f"  {title}: {n_cut:,} rows were longer than the model can read and lost the left of their context")
    manifest = Manifest(
        stage=stage.name,
        key=key,
        config=dict(stage.identity),
        inputs=(source.key,),
        shards=ordered,
        counts=counts,
        details={
            "seconds": round(time.monotonic() - progress.started, 3),
            "rows_this_run": progress.rows,
            "first_shard_s": progress.first_shard_s,
        },
    )
    write_manifest(place, manifest)
    return StageOutput(place=place, manifest=manifest, was_done=False)


def _statuses(stage: ShardStage, source: StageOutput, place: Location, missing: list[int], cluster: Cluster) -> Any:
    """Status rows, one per shard, as they come."""
    cluster.connect()
    dataset = ray.data.from_items(
        [{"shard": index, "name": source.shards[index]} for index in missing], override_num_blocks=len(missing)
    )
    arguments = (stage.worker, stage.config, source.place, place, stage.schema)
    settings = cluster.settings
    with warnings.catch_warnings():
        # Ray 2.60 deprecates ray_remote_args_fn before it has another parameter for the bounds of retries.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        if not stage.needs_model:
            mapped = dataset.map_batches(
                _ShardMap(*arguments), batch_size=1, num_cpus=1, ray_remote_args_fn=_bounded_task_retries
            )
            return mapped.iter_rows()
        size = cluster.pool_size(len(missing))
        # One task at a time makes a busy actor's utilisation 1, which Ray Data's own threshold of 1.75 never meets.
        ray.data.DataContext.get_current().autoscaling_config.actor_pool_util_upscaling_threshold = POOL_GROWS_ABOVE
        mapped = dataset.map_batches(
            _ShardMap,
            fn_constructor_args=arguments,
            batch_size=1,
            compute=ActorPoolStrategy(
                min_size=size.smallest,
                max_size=size.largest,
                initial_size=size.initial,
                max_tasks_in_flight_per_actor=1,  # a shard waiting behind a deadly one would die with it
            ),
            num_cpus=settings.cpus_per_worker,
            num_gpus=settings.gpus_per_worker,
            ray_remote_args_fn=_bounded_actor_retries,
        )
    return mapped.iter_rows()


def _bounded_task_retries() -> dict[str, Any]:
    """Ray Data's own default retries a task that kills its worker for ever."""
    return {"max_retries": MAX_SHARD_RETRIES}


def _bounded_actor_retries() -> dict[str, Any]:
    """Ray's own defaults retry a shard that kills its worker for ever."""
    return {"max_restarts": MAX_ACTOR_RESTARTS, "max_task_retries": MAX_SHARD_RETRIES}


class _ShardMap:
    """Reads a shard, lets the worker process it, writes the result; never raises.

    The worker is built at the first shard, so that a model that cannot be loaded is a shard's failure with a cause.
    """

    def __init__(
        self, worker: type[ShardWorker], config: Any, source: Location, target: Location, schema: pa.Schema
    ) -> None:
        self.make, self.config = worker, config
        self.source, self.target, self.schema = source, target, schema
        self.worker: ShardWorker | None = None
        self.broken = ""

    def _ready(self) -> ShardWorker:
        """The worker; one that could not be built is not tried again for every shard."""
        if self.broken:
            raise RuntimeError(self.broken)
        if self.worker is None:
            try:
                self.worker = self.make(self.config)
            except Exception as error:
                self.broken = f"{type(error).__name__}: {error}"
                raise
        return self.worker

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        shard, name = int(batch["shard"][0]), str(batch["name"][0])
        rows = errors = 0
        cause = ""
        try:
            worker = self._ready()
            given = read_shard(self.source, name)
            results = worker.process(given)
            if [row["row_id"] for row in results] != [row["row_id"] for row in given]:
                raise DataError(f"{self.make.__name__} did not return each row once and in order")
            write_shard(self.target, shard, results, self.schema)
            rows, errors = len(results), sum(1 for row in results if row.get("error"))
        except Exception as error:
            traceback.print_exc()
            cause = f"{type(error).__name__}: {error}"
        return {"shard": [shard], "rows": [rows], "errors": [errors], "cause": [cause]}


def _counts(stage: ShardStage, source: StageOutput, place: Location, shards: tuple[str, ...]) -> dict[str, int]:
    """Rows in, out, failed and cut, read back from what was written."""
    wanted = [name for name in ("row_id", "error", stage.cut_column) if name in stage.schema.names]
    rows_out = errors = cut = 0
    for name in shards:
        rows = read_shard(place, name, wanted)
        rows_out += len(rows)
        errors += sum(1 for row in rows if row.get("error"))
        cut += sum(1 for row in rows if row.get(stage.cut_column))
    counts = {"in": source.manifest.counts.get("out", 0), "out": rows_out, "errors": errors}
    return counts | {"cut_on_the_left": cut} if stage.cut_column else counts
