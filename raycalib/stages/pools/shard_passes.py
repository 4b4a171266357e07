"""Passes of a pool over shards: what a lost node or a worker that could not load left is done again, with bounds."""

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import cycle
import math
from typing import Any
import warnings

import ray
from ray.data import ActorPoolStrategy
from ray.util.annotations import RayDeprecationWarning
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycalib.stages.cluster import Cluster, PoolSize
from raycalib.stages.lines.progress import say
from raycalib.stages.pools.room import gone_nodes
from raycalib.stages.pools.shard_map import ShardMap
from raycalib.stages.pools.shard_work import ShardWork
from raycalib.stages.pools.spec import name_and_sets
from raycalib.stages.pools.standstill import Needs, watched

Place = tuple[int, int]
"""Of a shard: its part's place in the order, and its index there."""

MAX_SHARD_RETRIES = 2
MOST_PASSES_IN_VAIN = 3
TRIES_OF_EACH = 5


def shard_statuses(parts: Sequence[ShardWork], cluster: Cluster) -> Generator[Any, None, None]:
    """Status rows, one per missing shard of all parts, as they come; a part that is over meanwhile is left.

    A node that goes away fails a shard within moments as often as it may be retried, and a process that cannot load
    its model takes shards that others could do: both are done again, as long as passes get anything done. The workers
    do not know what is over: to leave the rest of one part, the pass ends and another one does the other parts.
    """
    cluster.connect()
    in_vain, any_done = 0, False
    missing = _left_of(parts, [(work, shard) for work, part in enumerate(parts) for shard in part.missing])
    while missing:
        gone, settled, held = gone_nodes(), set[Place](), list[Any]()
        with closing(_one_pass(parts, missing, cluster)) as statuses:
            for status in statuses:
                place = int(status["work"]), int(status["shard"])
                if status["built"]:
                    settled.add(place)
                    any_done = any_done or not status["unusable"]
                    yield status
                    if parts[place[0]].is_over and not parts[place[0]].is_settled:
                        break
                    continue
                held.append(status)
                if not any_done and no_process_loads([str(status["process"]) for status in held]):
                    break
        n_asked = len(missing)
        missing = [place for place in missing if place not in settled]
        rest = _left_of(parts, missing)
        if len(rest) < len(missing):
            missing = rest
            continue
        lost = n_asked - len(settled) - len(held)
        in_vain = 0 if settled else in_vain + 1
        node_went = lost and not gone_nodes() <= gone
        if not missing or in_vain == MOST_PASSES_IN_VAIN or not (node_went or (held and any_done)):
            yield from held
            return
        why = f"a worker could not load its model ({held[0]['cause']})" if held else "a node went away"
        say(f"  {name_and_sets([part.stage for part in parts])[0]}: {why}, doing {len(missing)} shards again")


def _left_of(parts: Sequence[ShardWork], places: Sequence[Place]) -> list[Place]:
    """Those of the shards whose part is not over."""
    return [place for place in places if not parts[place[0]].is_over]


def no_process_loads(processes: Sequence[str]) -> bool:
    """Whether to give up a stage of which nothing is done: each of the processes that failed has tried often.

    Args:
        processes: by name, one for each shard for which a process could not load its model.

    >>> no_process_loads(["a"] * 4), no_process_loads(["a"] * 5), no_process_loads(["a"] * 5 + ["b"] * 4)
    (False, True, False)
    """
    return len(processes) >= TRIES_OF_EACH * len(set(processes))


def _one_pass(parts: Sequence[ShardWork], places: Sequence[Place], cluster: Cluster) -> Generator[Any, None, None]:
    """Status rows of one pool."""
    stage, settings = parts[0].stage, cluster.settings
    gpus = 0.0 if not stage.needs_model else settings.gpus_per_worker if stage.gpus is None else stage.gpus
    cpus = settings.cpus_per_worker if stage.needs_model else 1.0
    dataset = ray.data.from_items(
        [{"work": work, "shard": shard, "name": parts[work].source.shards[shard]} for work, shard in places],
        override_num_blocks=len(places),
    )
    title, _ = name_and_sets([part.stage for part in parts])
    needs = Needs(cpus, gpus, settings.wait_for_nodes_s, takes_cpus=not stage.waits_for_server)
    arguments = (stage.worker, stage.config, tuple(part.target for part in parts))
    with watched(dataset, title, needs), warnings.catch_warnings():
        # Ray 2.60 deprecates ray_remote_args_fn before it has another parameter for the bounds of retries.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        if stage.needs_model:
            size = cluster.pool_size(len(places), gpus, waits_for_server=stage.waits_for_server)
            mapped = dataset.map_batches(
                ShardMap,
                fn_constructor_args=arguments,
                batch_size=1,
                compute=_pool(size, at_once_of(stage.shards_at_once, len(places), size.initial)),
                num_cpus=cpus if needs.takes_cpus else 0,
                num_gpus=gpus,
                ray_remote_args_fn=_bounded_actor_retries if needs.takes_cpus else ActorsBesideOthers(),
            )
        else:
            mapped = dataset.map_batches(
                ShardMap(*arguments), batch_size=1, num_cpus=cpus, ray_remote_args_fn=_bounded_task_retries
            )
        yield from mapped.iter_rows()


def _pool(size: PoolSize, at_once: int) -> ActorPoolStrategy:
    """The actors of a pool, each of which works on so many shards at once."""
    return ActorPoolStrategy(
        min_size=size.smallest,
        max_size=size.largest,
        initial_size=size.initial,
        max_tasks_in_flight_per_actor=at_once,  # a shard waiting behind a deadly one would die with it
        max_concurrent_calls_per_actor=at_once,
        enable_true_multi_threading=at_once > 1,
    )


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


class ActorsBesideOthers:
    """What Ray is told of each actor that waits for a server, in turn: a node that others may have filled.

    It takes no CPU of those that compute, which may have all for hours. Ray would put it anywhere then, so it is given
    a node on which workers are wanted; a head without CPUs is none.
    """

    def __init__(self) -> None:
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        self._nodes = cycle(nodes or [ray.get_runtime_context().get_node_id()])

    def __call__(self) -> dict[str, Any]:
        """Of the next actor."""
        where = NodeAffinitySchedulingStrategy(next(self._nodes), soft=True)
        return _bounded_actor_retries() | {"scheduling_strategy": where}
