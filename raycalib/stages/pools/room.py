"""Whether a cluster holds what a stage needs, and waiting, with a bound and in words, until it does."""

from collections.abc import Mapping, Sequence
import json
import math
import socket
import time

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.experimental.internal_kv import _internal_kv_get
from ray.util.placement_group import placement_group, remove_placement_group

from raycalib.stages.lines.progress import say

ROUNDING = 1e-9
SAY_EVERY_S = 30
ANSWERS_WITHIN_S = 3.0
UNMANAGED_KIND = "node_"
"""How Ray begins the kind of a node that no autoscaler started."""
KIND_LABEL = "ray.io/node-group"

Resources = Mapping[str, float]


def workers_that_fit(resources: Resources, cpus_each: float, gpus_each: float) -> int:
    """Workers that a node with these resources holds; no worker spreads over nodes, and no fraction over GPUs.

    >>> workers_that_fit({"CPU": 16, "GPU": 8}, 1, 0.4), workers_that_fit({"CPU": 16, "GPU": 1}, 1, 0.1)
    (16, 10)
    >>> workers_that_fit({"CPU": 16, "GPU": 4}, 1, 8), workers_that_fit({"CPU": 16, "GPU": 4}, 1, 2)
    (0, 2)
    """
    by_cpu = math.floor(resources.get("CPU", 0) / cpus_each + ROUNDING)
    if not gpus_each:
        return by_cpu
    gpus = resources.get("GPU", 0)
    per_gpu = math.floor(1 / gpus_each + ROUNDING)
    return min(by_cpu, math.floor(gpus) * per_gpu if gpus_each < 1 else math.floor(gpus / gpus_each + ROUNDING))


def nodes_now() -> list[Resources]:
    """What each node has that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def gone_nodes() -> set[str]:
    """Ids of the nodes that were there and are not; one that does not answer counts, which Ray sees after a while."""
    return {
        node["NodeID"]
        for node in ray.nodes()
        if not node["Alive"] or not _answers((node["NodeManagerAddress"], node["NodeManagerPort"]))
    }


def _answers(place: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(place, timeout=ANSWERS_WITHIN_S):
            return True
    except OSError:
        return False


def lack_of_workers(cpus_each: float, gpus_each: float) -> str:
    """What a worker needs and the nodes have, where no node holds one; else empty."""
    nodes = nodes_now()
    if any(workers_that_fit(node, cpus_each, gpus_each) for node in nodes):
        return ""
    has = ", ".join(f"{node.get('CPU', 0):g} and {node.get('GPU', 0):g}" for node in nodes) or "none"
    return f"a worker needs {cpus_each:g} CPUs, {gpus_each:g} GPUs on one node, the cluster's nodes have {has}"


def lack_of_free_resources(cpus_each: float, gpus_each: float) -> str:
    """What a worker needs, where Ray has a worker like that wait for what others use; else empty.

    What is free tells nothing: a worker that is being started has its share already.
    """
    wanted = {name: amount for name, amount in (("CPU", cpus_each), ("GPU", gpus_each)) if amount}
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    for demand in status.resource_demands.ray_task_actor_demand:
        if any(counted.bundle == wanted for counted in demand.bundles_by_count):
            return f"a worker needs {cpus_each:g} CPUs, {gpus_each:g} GPUs, and others use what the nodes have"
    return ""


def lack_of_trainers(n_workers: int, cpus_each: float, gpus_each: float) -> str:
    """What so many trainers need of what the cluster has, where that is too much; else empty.

    A cluster may have all of it and still hold fewer: each worker has its CPUs and GPUs on one node.
    """
    fit = sum(workers_that_fit(node, cpus_each, gpus_each) for node in nodes_now())
    if fit >= n_workers:
        return ""
    resources = ray.cluster_resources()
    short = [
        f"{need:g} {name}s of {resources.get(name, 0):g}"
        for name, need in (("CPU", n_workers * cpus_each), ("GPU", n_workers * gpus_each))
        if need > resources.get(name, 0)
    ]
    each = f"{cpus_each:g} CPUs and {gpus_each:g} GPUs each on one node, of which the cluster's nodes hold {fit}"
    return f"{n_workers} workers need {' and '.join(short) or each}"


def grows_by_itself() -> bool:
    """Whether an autoscaler is known to start this cluster's nodes: by the kinds that it gives to them."""
    kinds = [(node.get("Labels") or {}).get(KIND_LABEL, "") for node in ray.nodes() if node["Alive"]]
    report = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or "{}").get("autoscaler_report") or {}
    kinds += (report.get("node_type_mapping") or {}).values()
    return any(kind and not kind.startswith(UNMANAGED_KIND) for kind in kinds)


def wait_at_most(left_s: float) -> int:
    """Whole seconds to wait at once: Ray drops what is beyond a second, and asked for 0 answers at once.

    >>> wait_at_most(100), wait_at_most(3.2), wait_at_most(0.3), wait_at_most(-1)
    (30, 4, 1, 1)
    """
    return max(1, math.ceil(min(SAY_EVERY_S, left_s)))


def wait_for_room(bundles: Sequence[dict[str, float]], limit_s: float, lack: str) -> bool:
    """Asks for room, which makes a cluster grow that can, and waits for it; whether it came.

    Args:
        bundles: of resources, each on one node, all at once.
        limit_s: waits so long.
        lack: what is lacking, said at first and every half minute.
    """
    say(f"  {lack}: waiting until the cluster grows, at most {limit_s:g} s (--ray.wait-for-nodes-s)")
    wanted = [{name: amount for name, amount in bundle.items() if amount} for bundle in bundles]
    group = placement_group(wanted)
    began = time.monotonic()
    try:
        while not group.wait(timeout_seconds=wait_at_most(began + limit_s - time.monotonic())):
            waited = time.monotonic() - began
            if waited >= limit_s:
                return False
            say(f"  {lack}; waiting since {waited:.0f} s")
        return True
    finally:
        remove_placement_group(group)
