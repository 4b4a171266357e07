"""All nodes of a cluster, asked side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycalib.doctor.node_probe import NodeFacts, Probe
from raycalib.lm.names import ModelSource
from raycalib.secrets import hide_message
from raycalib.storage import Location

ANSWERS_WITHIN_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node and what it said.

    Attributes:
        address: of it.
        resources: that Ray knows of.
        fault: why it said nothing.
        facts: None where it said nothing.
        ahead_s: of this machine's clock.
        within_s: so far that may be off, by the way there and back.
        speed: MB a second written to and read from the run's directory; None where that failed.
        speed_fault: why.
    """

    address: str
    resources: Mapping[str, float]
    fault: str = ""
    facts: NodeFacts | None = None
    ahead_s: float = 0.0
    within_s: float = 0.0
    speed: tuple[float, float] | None = None
    speed_fault: str = ""


@dataclass
class _Asked:
    node: dict[str, Any]
    probe: Any
    said: dict[str, Any] = field(default_factory=dict)


def ask_nodes(out: Location, with_gpus: bool, models: Sequence[ModelSource]) -> list[Node]:
    """What each node says; takes no CPU or GPU of it.

    Args:
        out: the run's directory, to which and from which each writes and reads.
        with_gpus: asks those nodes for their GPUs that have some, by a matrix product on each.
        models: whose weights they need.
    """
    asked = [_Asked(node, _start(node["NodeID"])) for node in ray.nodes() if node["Alive"]]
    try:
        for each in asked:  # at once: the first call of an actor waits until its process is there
            gpus = with_gpus and each.node["Resources"].get("GPU", 0) > 0
            each.said["facts"] = each.probe.facts.remote(gpus, list(models))
        for each in asked:
            _take(each, "facts")
        for each in asked:
            if "fault" not in each.said:
                _take_clock(each)
        for each in asked:
            if "fault" not in each.said:
                each.said["speed"] = each.probe.speed.remote(out)
        for each in asked:
            if "fault" not in each.said:
                _take(each, "speed", "speed_fault")
    finally:
        for each in asked:
            ray.kill(each.probe)
    return [
        Node(address=each.node["NodeManagerAddress"], resources=each.node["Resources"], **each.said) for each in asked
    ]


def _start(node: str) -> Any:
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(Probe).options(num_cpus=0, max_restarts=0, scheduling_strategy=here).remote()


def _take(each: _Asked, what: str, fault: str = "fault") -> None:
    task = each.said.pop(what)
    try:
        each.said[what] = ray.get(task, timeout=ANSWERS_WITHIN_S)
    except GetTimeoutError:
        each.said[fault] = f"does not answer within {ANSWERS_WITHIN_S:g} s"
    except RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        each.said[fault] = hide_message(lines[-1])


def _take_clock(each: _Asked) -> None:
    """The node's clock between two looks at this one's."""
    try:
        ray.get(each.probe.clock.remote(), timeout=ANSWERS_WITHIN_S)  # the way is warm from now on
        began = time.time()
        there = ray.get(each.probe.clock.remote(), timeout=ANSWERS_WITHIN_S)
        ended = time.time()
    except RayError as error:
        each.said["fault"] = type(error).__name__
        return
    each.said |= {"ahead_s": there - (began + ended) / 2, "within_s": (ended - began) / 2}
