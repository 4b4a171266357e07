"""All checks in order, each said as soon as it is done."""

from collections.abc import Iterator, Mapping

import ray
from ray._private.services import get_webui_url_from_internal_kv
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycalib.config import PipelineConfig
from raycalib.doctor.check import Check
from raycalib.doctor.data_check import data_check
from raycalib.doctor.gate_checks import port_check, token_check
from raycalib.doctor.judge_check import judge_check
from raycalib.doctor.node_checks import node_checks
from raycalib.doctor.nodes import Node, ask_nodes
from raycalib.errors import ConfigError, ModelError, StorageError
from raycalib.lm.find_shape import find_shape
from raycalib.lm.names import ModelSource, find_model
from raycalib.plans.memory import planned_run
from raycalib.stages.cluster import Cluster
from raycalib.stages.lines.progress import say
from raycalib.stages.seen_by_nodes import check_seen
from raycalib.storage import Location
from raycalib.storage.writable import check_can_write
from raycalib.tuning.memory_plan import memory_plan

HEAD = "node:__internal_head__"


def examine(config: PipelineConfig) -> None:
    """Looks at everything that a run of this configuration needs, a line for each; nothing of it is left behind.

    A cluster that has no worker yet and can grow is made to, since what does not run cannot be looked at.

    Raises:
        ConfigError: something is wrong; each fault has been said with its remedy.
    """
    failed, n_checks = list[str](), 0
    for check in _checks(config):
        say(check.line())
        n_checks += 1
        failed += [] if check.is_well else [check.name]
    if failed:
        raise ConfigError(f"doctor: {len(failed)} of {n_checks} checks failed: {', '.join(failed)}")
    say(f"all {n_checks} checks are well")


def _checks(config: PipelineConfig) -> Iterator[Check]:
    yield data_check(config)
    if config.grader == "judge" and config.judge.engine == "openai":
        yield judge_check(config.judge)
    models, lack = _models(config)
    if lack is not None:
        yield lack
    out = Location(config.out).absolute()
    cluster = Cluster(config.ray, None)
    try:
        check_can_write(out)
        cluster.connect()
    except (ConfigError, StorageError) as error:
        yield Check.of_error("cluster", error)
        return
    try:
        yield _room(cluster)
        yield shared_check(out, {each["NodeID"]: each["NodeManagerAddress"] for each in ray.nodes() if each["Alive"]})
        on_gpu, needed = config.ray.on_gpu, 0
        try:
            needed = _needed_bytes(config, models) if on_gpu else 0
        except ModelError as error:
            yield Check.of_error("memory", error)
        nodes = ask_nodes(out, on_gpu, models)
        yield from node_checks(nodes, needed, on_gpu)
        yield from _gates(nodes)
    finally:
        cluster.close()


def _room(cluster: Cluster) -> Check:
    """Whether there is a worker, once the cluster has grown where it can."""
    try:
        cluster.pool_size(1)
    except ConfigError as error:
        return Check.of_error("workers", error)
    return Check(name="workers", found="the cluster has room for one or more")


def shared_check(out: Location, nodes: Mapping[str, str]) -> Check:
    """Whether what one node writes the others read: a disk of each would take all that is written, and lose it.

    Args:
        out: the run's directory.
        nodes: addresses by id.
    """
    try:
        check_seen(out, nodes)
    except (ConfigError, StorageError) as error:
        return Check.of_error("out", error)
    return Check(name="out", found=f"{out.uri} is one directory for {len(nodes)} node(s)")


def _models(config: PipelineConfig) -> tuple[list[ModelSource], Check | None]:
    found = []
    for name in config.models:
        try:
            found.append(find_model(name, config.model_root))
        except ModelError as error:
            return found, Check.of_error("models", error)
    return found, None


def _needed_bytes(config: PipelineConfig, models: list[ModelSource]) -> int:
    return max((memory_plan(planned_run(config, find_shape(model))).total for model in models), default=0)


def _gates(nodes: list[Node]) -> Iterator[Check]:
    """Asked on the head, whose loopback the dashboard may be on."""
    dashboard = get_webui_url_from_internal_kv() or ""
    head = next((node["NodeID"] for node in ray.nodes() if node["Alive"] and HEAD in node["Resources"]), None)
    asked = ray.remote(token_check)
    if head is not None:
        asked = asked.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(head, soft=False))
    token = ray.get(asked.remote(dashboard))
    yield token
    yield port_check(dashboard, [node.address for node in nodes], asks_for_token=token.is_well)
