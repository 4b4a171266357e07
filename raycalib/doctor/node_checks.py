"""What nodes said, judged."""

from collections.abc import Sequence

from raycalib.doctor.check import Check, by_node
from raycalib.doctor.node_probe import NodeFacts
from raycalib.doctor.nodes import Node
from raycalib.tuning.memory_plan import GIB

LEAST_MB_S = 20.0
"""Of the run's directory, for each node; hidden states of a 7B model come at 16 kB a row."""
MOST_S = 5.0
"""Clocks may be so far apart: leases and the judge's limits are counted in seconds."""
LEAST_SHM_SHARE = 0.25
"""Of a node's object store, which else falls back to a disk."""
LEAST_FILES = 4096
OBJECT_STORE = "object_store_memory"

Fault = tuple[str, str]


def node_checks(nodes: Sequence[Node], needed_bytes: int, gpus_count: bool) -> list[Check]:
    """All that nodes have to have.

    Args:
        nodes: what they said.
        needed_bytes: of a GPU's memory, for the largest model's tuning.
        gpus_count: models compute on GPUs.
    """
    silent = [(node.address, node.fault) for node in nodes if node.fault]
    spoke = [node for node in nodes if not node.fault]
    remedy = "look at its raylet's log, or end it"
    checks = [_check("nodes", f"{len(nodes)} answered", silent, remedy), _versions(spoke)]
    if gpus_count:
        checks.append(_gpus(spoke, needed_bytes))
    n_models = "all models" if spoke else "nothing asked"
    weights = [(node.address, lack) for node in spoke for lack in _facts(node).missing_weights.values()]
    to_load = "name directories that all nodes have, fill the cache (HF_HOME), or set HF_TOKEN on that node"
    return [
        *checks,
        _check("weights", f"{n_models} in a directory, in the cache or on the hub", weights, to_load),
        _storage(spoke),
        _clocks(spoke),
        _shm(spoke),
        _files(spoke),
    ]


def _facts(node: Node) -> NodeFacts:
    assert node.facts is not None, "it spoke"
    return node.facts


def _check(name: str, found: str, faults: Sequence[Fault], remedy: str) -> Check:
    return Check.fault(name=name, found=by_node(faults), remedy=remedy) if faults else Check(name=name, found=found)


def _versions(nodes: Sequence[Node]) -> Check:
    names = dict.fromkeys(name for node in nodes for name in _facts(node).versions)
    differ = list[str]()
    for name in names:
        by_version = dict[str, list[str]]()
        for node in nodes:
            by_version.setdefault(_facts(node).versions.get(name, "missing"), []).append(node.address)
        if len(by_version) > 1:
            said = " and ".join(f"{version} ({', '.join(who)})" for version, who in by_version.items())
            differ.append(f"{name} is {said}")
    if differ:
        return Check.fault(
            name="versions",
            found="; ".join(differ),
            remedy="give all nodes one image (cluster/README.md)",
        )
    same = _facts(nodes[0]).versions if nodes else {}
    return Check(name="versions", found=", ".join(f"{name} {version}" for name, version in same.items()))


def _gpus(nodes: Sequence[Node], needed_bytes: int) -> Check:
    faults, seen = list[Fault](), list[str]()
    for node in nodes:
        facts, n_said = _facts(node), int(node.resources.get("GPU", 0))
        if not n_said:
            continue
        gpus = facts.gpus or ()
        seen += [f"{gpu.name} ({gpu.bytes / GIB:.0f} GiB)" for gpu in gpus]
        if facts.gpu_fault:
            faults.append((node.address, facts.gpu_fault))
        elif len(gpus) < n_said:
            faults.append((node.address, f"Ray counts {n_said} GPUs and torch sees {len(gpus)}"))
        faults += [(node.address, f"{gpu.name}: {gpu.fault}") for gpu in gpus if gpu.fault]
        faults += [
            (node.address, f"{gpu.name} has {gpu.bytes / GIB:.1f} GiB, and tuning takes {needed_bytes / GIB:.1f}")
            for gpu in gpus
            if gpu.bytes < needed_bytes
        ]
    if not any(node.resources.get("GPU") for node in nodes):
        return Check.fault(
            name="GPUs",
            found="no node has one",
            remedy="add nodes with GPUs, or compute on the CPU (--device)",
        )
    by_name = {name: seen.count(name) for name in dict.fromkeys(seen)}
    found = ", ".join(f"{n} x {name}" for name, n in by_name.items())
    remedy = "install a driver and a CUDA build of torch, end the node, or see what --plan says to do about memory"
    return _check("GPUs", f"{found}, a matrix product on each", faults, remedy)


def _storage(nodes: Sequence[Node]) -> Check:
    faults = [(node.address, node.speed_fault) for node in nodes if node.speed_fault]
    speeds = [node.speed for node in nodes if node.speed is not None]
    faults += [
        (node.address, f"{node.speed[0]:,.0f} MB/s written, {node.speed[1]:,.0f} MB/s read")
        for node in nodes
        if node.speed is not None and min(node.speed) < LEAST_MB_S
    ]
    written, read = (min((speed[i] for speed in speeds), default=0.0) for i in (0, 1))
    found = f"the slowest node writes {written:,.0f} MB/s and reads {read:,.0f} MB/s, all at once"
    return _check("storage", found, faults, f"at least {LEAST_MB_S:g} MB/s: a store in the region of the nodes")


def _clocks(nodes: Sequence[Node]) -> Check:
    faults = [
        (node.address, f"{abs(node.ahead_s):,.0f} s {'ahead of' if node.ahead_s > 0 else 'behind'} this machine")
        for node in nodes
        if abs(node.ahead_s) - node.within_s > MOST_S
    ]
    most = max((abs(node.ahead_s) + node.within_s for node in nodes), default=0.0)
    return _check("clocks", f"within {most:.2g} s of this machine's", faults, "start a time service on it (chrony)")


def _shm(nodes: Sequence[Node]) -> Check:
    faults = []
    for node in nodes:
        size, store = _facts(node).shm_bytes, node.resources.get(OBJECT_STORE, 0.0)
        if size is None:
            faults.append((node.address, "has none"))
        elif size < LEAST_SHM_SHARE * store:
            faults.append((node.address, f"{size / GIB:.1f} GiB, and Ray's object store has {store / GIB:.1f}"))
    least = min((_facts(node).shm_bytes or 0 for node in nodes), default=0)
    remedy = "give the container more (docker run --shm-size, an emptyDir of medium Memory)"
    return _check("/dev/shm", f"{least / GIB:.1f} GiB or more", faults, remedy)


def _files(nodes: Sequence[Node]) -> Check:
    faults = [
        (node.address, f"{_facts(node).open_files:,} open files")
        for node in nodes
        if 0 <= _facts(node).open_files < LEAST_FILES
    ]
    least = min((_facts(node).open_files for node in nodes), default=0)
    return _check("ulimit", f"{least:,} open files or more", faults, "ulimit -n 65536 before `ray start`")
