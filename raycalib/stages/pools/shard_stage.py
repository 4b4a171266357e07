"""Maps directories of shards to others through a pool of Ray Data actors; the unit of work is one shard."""

from collections.abc import Sequence
from contextlib import closing, nullcontext
import json

import ray

from raycalib.errors import ModelError
from raycalib.stages.chains.stopping import check_stopped
from raycalib.stages.cluster import Cluster
from raycalib.stages.lines.progress import PoolProgress, ShardProgress
from raycalib.stages.output import StageError, StageOutput, finished, stage_key, stage_place
from raycalib.stages.pools.shard_passes import shard_statuses
from raycalib.stages.pools.shard_work import ShardWork
from raycalib.stages.pools.spec import ShardStage, check_one_pool, name_and_sets
from raycalib.storage import Location

SECONDS = ("load_s", "work_s")
"""Of a process: until its worker was there, and of reading, processing and writing a shard; summed in the manifest."""


def run_shard_stage(stage: ShardStage, source: StageOutput, out: Location, cluster: Cluster) -> StageOutput:
    """Runs what is missing of a stage and writes its manifest; see ``run_shard_stages``."""
    return run_shard_stages([(stage, source)], out, cluster)[0]


def run_shard_stages(
    works: Sequence[tuple[ShardStage, StageOutput]], out: Location, cluster: Cluster
) -> list[StageOutput]:
    """The outputs of several stages; see ``try_shard_stages``.

    Raises:
        StageError: the first one that could not be finished.
        ModelError: the stages' model cannot be loaded.
    """
    outcomes = try_shard_stages(works, out, cluster)
    for outcome in outcomes:
        if isinstance(outcome, StageError):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, StageOutput)]


def find_finished(stage: ShardStage, source: StageOutput, out: Location) -> StageOutput | None:
    """The stage's output, where an earlier run finished it."""
    key = stage_key(stage.name, stage.identity, [source.key])
    return finished(stage_place(out, stage.name, stage.directory, key), key)


def try_shard_stages(
    works: Sequence[tuple[ShardStage, StageOutput]], out: Location, cluster: Cluster
) -> list[StageOutput | StageError]:
    """Runs what is missing of several stages in one pool, whose workers load once, and writes the manifest of each.

    A manifest is written as soon as the stage's own shards are made; one that fails leaves the others to be finished.

    Args:
        works: stages of one worker, configuration and resources, each with its source; done in this order.
        out: the run's directory.
        cluster: where the pool is; nothing is started where nothing is missing.

    Returns:
        The output of each, or why there is none: shards could not be made, have rows to be done again, or have more
        bad rows than is allowed, with the first cause; what is made stays.

    Raises:
        ModelError: the stages' model cannot be loaded.
    """
    if not works:
        return []
    check_one_pool([stage for stage, _ in works])
    parts = [ShardWork(stage, source, out) for stage, source in works]
    for part in parts:
        if not part.is_over and not part.missing:
            part.close(ShardProgress(part.stage.title, 0).details())
    if pooled := [part for part in parts if not part.is_over]:
        _run_pool(pooled, cluster)
    return [part.outcome for part in parts]


def _run_pool(parts: Sequence[ShardWork], cluster: Cluster) -> None:
    """Does the missing shards, and closes each stage at its last one.

    Raises:
        ModelError: the stages' model cannot be loaded.
        StageError: no worker can run.
    """
    name, sets = name_and_sets([part.stage for part in parts])
    with cluster.share(name) if parts[0].stage.computes else nullcontext():
        progress = PoolProgress(name, [(of, len(part.missing)) for of, part in zip(sets, parts, strict=True)])
        try:
            _take_statuses(parts, progress, cluster)
        except ray.exceptions.RayError as error:
            for part in parts:
                part.blame(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
        finally:
            progress.leave()
    for index, part in enumerate(parts):
        if not part.is_over:
            part.close(progress.details(index))


def _take_statuses(parts: Sequence[ShardWork], progress: PoolProgress, cluster: Cluster) -> None:
    """Counts the shards as they come, and closes each stage at its last one."""
    with closing(shard_statuses(parts, cluster)) as statuses:  # ends the workers where not all shards are wanted
        for status in statuses:
            check_stopped()
            if status["unusable"]:  # as it would be for every other shard
                raise ModelError(str(status["unusable"]))
            index = int(status["work"])
            part = parts[index]
            part.take(status)
            progress.of_sets[index].took({name: float(status[name]) for name in SECONDS})
            progress.add(index, int(status["rows"]), int(status["errors"]), json.loads(status["figures"]))
            if part.is_settled:
                part.close(progress.details(index))
