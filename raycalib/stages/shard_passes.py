"""Passes of a pool over shards: what a lost node or a worker that could not load left is done again, with bounds."""

from collections.abc import Generator, Sequence
from contextlib import closing
import math
from typing import Any
import warnings

import ray
from ray.data import ActorPoolStrategy
from ray.util.annotations import RayDeprecationWarning

from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageOutput
from raycalib.stages.progress import say
from raycalib.stages.room import gone_nodes
from raycalib.stages.shard_map import ShardMap
from raycalib.stages.spec import ShardStage
from raycalib.stages.standstill import watch
from raycalib.storage import Location

MAX_SHARD_RETRIES = 2
MOST_PASSES_IN_VAIN = 3
TRIES_OF_EACH = 5


def shard_statuses(
    stage: ShardStage, source: StageOutput, place: Location, missing: list[int], cluster: Cluster
) -> Generator[Any, None, None]:
    """Status rows, one per shard, as they come.

    A node that goes away fails a shard within moments as often as it may be retried, and a process that cannot load
    its model takes shards that others could do: both are done again, as long as passes get anything done.
    """
    cluster.connect()
    in_vain, any_done = 0, False
    while missing:
        gone, settled, held = gone_nodes(), set[int](), list[Any]()
        with closing(iter(_one_pass(stage, source, place, missing, cluster))) as statuses:
            for status in statuses:
                if status["built"]:
                    settled.add(int(status["shard"]))
                    any_done = any_done or not status["unusable"]
                    yield status
                    continue
                held.append(status)
                if not any_done and no_process_loads([str(status["process"]) for status in held]):
                    break
        lost = len(missing) - len(settled) - len(held)
        missing = [index for index in missing if index not in settled]
        in_vain = 0 if settled else in_vain + 1
        node_went = lost and not gone_nodes() <= gone
        if not missing or in_vain == MOST_PASSES_IN_VAIN or not (node_went or (held and any_done)):
            yield from held
            return
        why = f"a worker could not load its model ({held[0]['cause']})" if held else "a node went away"
        say(f"  {stage.title}: {why}, doing {len(missing)} shards again")


def no_process_loads(processes: Sequence[str]) -> bool:
    """Whether to give up a stage of which nothing is done: each of the processes that failed has tried often.

    Args:
        processes: by name, one for each shard for which a process could not load its model.

    >>> no_process_loads(["a"] * 4), no_process_loads(["a"] * 5), no_process_loads(["a"] * 5 + ["b"] * 4)
    (False, True, False)
    """
    return len(processes) >= TRIES_OF_EACH * len(set(processes))


def _one_pass(stage: ShardStage, source: StageOutput, place: Location, missing: list[int], cluster: Cluster) -> Any:
    """Status rows of one pool."""
    settings = cluster.settings
    gpus = 0.0 if not stage.needs_model else settings.gpus_per_worker if stage.gpus is None else stage.gpus
    cpus = settings.cpus_per_worker if stage.needs_model else 1.0
    dataset = ray.data.from_items(
        [{"shard": index, "name": source.shards[index]} for index in missing], override_num_blocks=len(missing)
    )
    watch(dataset, stage.title, cpus, gpus, settings.wait_for_nodes_s)
    arguments = (stage.worker, stage.config, source.place, place, stage.schema, stage.keeps_figures)
    with warnings.catch_warnings():
        # Ray 2.60 deprecates ray_remote_args_fn before it has another parameter for the bounds of retries.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        if not stage.needs_model:
            mapped = dataset.map_batches(
                ShardMap(*arguments), batch_size=1, num_cpus=cpus, ray_remote_args_fn=_bounded_task_retries
            )
            return mapped.iter_rows()
        size = cluster.pool_size(len(missing), gpus, waits_for_server=stage.waits_for_server)
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
