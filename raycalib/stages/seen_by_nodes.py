"""Whether all nodes of a cluster see the run's directory: a disk of one of them is none of the others."""

from collections.abc import Mapping
from contextlib import suppress
from uuid import uuid4

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycalib.errors import ConfigError, StorageError
from raycalib.secrets import hide_message
from raycalib.stages.lines.progress import say
from raycalib.storage import Location

TOKEN = "token"
ANSWERS_WITHIN_S = 30.0


def check_seen(out: Location, nodes: Mapping[str, str], within_s: float = ANSWERS_WITHIN_S) -> None:
    """Has each node read a file that is written here and answer by one that is read here; leaves none of them.

    A node that does not answer in time, or cannot run a task, is said and not waited for.

    Args:
        out: the run's directory.
        nodes: addresses by id.
        within_s: so long is waited for all of them together.

    Raises:
        ConfigError: a node does not see the directory, or what it writes there is not seen here.
        StorageError: this process cannot write there.
    """
    token = uuid4().hex
    place = out / f".seen-{token[:8]}"
    place.write_bytes(TOKEN, token.encode())
    try:
        faults = _faults(place, token, nodes, within_s)
    finally:
        with suppress(StorageError):  # what stays harms nobody
            place.remove()
    if faults:
        first, *more = faults
        others = f" (and {', '.join(sorted(set(more)))})" if more else ""
        raise ConfigError(
            f"out: {out.uri} is not one directory for all nodes of the cluster: {faults[first]} on {first}{others}; "
            "name by --out a mount that all nodes have at the same path, or an object store (s3://…)"
        )


def _faults(place: Location, token: str, nodes: Mapping[str, str], within_s: float) -> dict[str, str]:
    """What is wrong, by the address of a node."""
    asked = {
        ray.remote(_answer)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote(place, token, node): node
        for node in nodes
    }
    answered, late = ray.wait(list(asked), num_returns=len(asked), timeout=within_s)
    for task in late:
        ray.cancel(task)
        say(f"  node {nodes[asked[task]]} does not answer whether it sees {place.uri.rpartition('/')[0]}: it may not")
    faults = dict[str, str]()
    for task in answered:
        node = asked[task]
        try:
            fault = ray.get(task) or _unseen(place, token, node)
        except RayError as error:
            (last, *_) = reversed(str(error).strip().splitlines() or [type(error).__name__])
            say(f"  node {nodes[node]} cannot be asked whether it sees the run's directory: {hide_message(last)}")
            continue
        if fault:
            faults[nodes[node]] = fault
    return faults


def _answer(place: Location, token: str, node: str) -> str:
    """On a node: answers by a file once the token is read; why it cannot, else nothing."""
    try:
        if place.read_bytes(TOKEN).decode() != token:
            return "another file is read"
    except StorageError as error:
        return f"what is written here cannot be read ({error})"
    try:
        place.write_bytes(node, token.encode())
    except StorageError as error:
        return f"nothing can be written ({error})"
    return ""


def _unseen(place: Location, token: str, node: str) -> str:
    """What is wrong with the node's answer, where it is not seen here."""
    try:
        return "" if place.read_bytes(node).decode() == token else "another file is written"
    except StorageError as error:
        return f"what is written is not seen here ({error})"
