"""What nodes said, judged: each fault is named with its node and its remedy."""

from dataclasses import replace

import pytest

from raycalib.doctor.check import Check
from raycalib.doctor.node_checks import node_checks
from raycalib.doctor.node_probe import Gpu, NodeFacts
from raycalib.doctor.nodes import Node

GIB = 2**30
FACTS = NodeFacts(
    versions={"Python": "3.11.9", "ray": "2.60.0"},
    shm_bytes=8 * GIB,
    open_files=65_536,
    gpus=(Gpu(name="L40S", bytes=44 * GIB, fault=""),),
    gpu_fault="",
    missing_weights={},
)
WELL = Node(
    address="10.0.0.1",
    resources={"CPU": 8.0, "GPU": 1.0, "object_store_memory": 8.0 * GIB},
    facts=FACTS,
    ahead_s=0.2,
    within_s=0.1,
    speed=(150.0, 300.0),
)
OTHER = replace(WELL, address="10.0.0.2")


def checks(other: Node, needed_gib: float = 21.7, gpus_count: bool = True) -> dict[str, Check]:
    return {each.name: each for each in node_checks([WELL, other], round(needed_gib * GIB), gpus_count)}


def faults(other: Node, needed_gib: float = 21.7) -> dict[str, str]:
    return {name: check.found for name, check in checks(other, needed_gib).items() if not check.is_well}


def with_facts(**values: object) -> Node:
    return replace(OTHER, facts=replace(FACTS, **values))


def test_a_cluster_that_is_well() -> None:
    found = checks(OTHER)
    assert list(found) == ["nodes", "versions", "GPUs", "weights", "storage", "clocks", "/dev/shm", "ulimit"]
    assert all(check.is_well for check in found.values())
    assert found["versions"].found == "Python 3.11.9, ray 2.60.0"
    assert found["GPUs"].found == "2 x L40S (44 GiB), a matrix product on each"
    assert "writes 150 MB/s and reads 300 MB/s" in found["storage"].found
    assert found["clocks"].found == "within 0.3 s of this machine's"


@pytest.mark.parametrize(
    ("node", "name", "said"),
    [
        (replace(OTHER, facts=None, fault="does not answer"), "nodes", "10.0.0.2: does not answer"),
        (
            with_facts(versions={"Python": "3.11.9", "ray": "2.59.0"}),
            "versions",
            "ray is 2.60.0 (10.0.0.1) and 2.59.0 (10.0.0.2)",
        ),
        (with_facts(versions={"Python": "3.11.9"}), "versions", "ray is 2.60.0 (10.0.0.1) and missing (10.0.0.2)"),
        (with_facts(gpus=()), "GPUs", "10.0.0.2: Ray counts 1 GPUs and torch sees 0"),
        (with_facts(gpus=(), gpu_fault="torch has no CUDA"), "GPUs", "10.0.0.2: torch has no CUDA"),
        (
            with_facts(gpus=(Gpu(name="L40S", bytes=44 * GIB, fault="a matrix product is off by 0.3"),)),
            "GPUs",
            "10.0.0.2: L40S: a matrix product is off by 0.3",
        ),
        (
            with_facts(gpus=(Gpu(name="L4", bytes=20 * GIB, fault=""),)),
            "GPUs",
            "10.0.0.2: L4 has 20.0 GiB, and tuning takes 21.7",
        ),
        (with_facts(missing_weights={"m": "/models/m is not there"}), "weights", "10.0.0.2: /models/m is not there"),
        (replace(OTHER, speed=(3.0, 90.0)), "storage", "10.0.0.2: 3 MB/s written, 90 MB/s read"),
        (replace(OTHER, speed=None, speed_fault="no permission"), "storage", "10.0.0.2: no permission"),
        (replace(OTHER, ahead_s=-40.0), "clocks", "10.0.0.2: 40 s behind this machine"),
        (with_facts(shm_bytes=64 * 2**20), "/dev/shm", "10.0.0.2: 0.1 GiB, and Ray's object store has 8.0"),
        (with_facts(shm_bytes=None), "/dev/shm", "10.0.0.2: has none"),
        (with_facts(open_files=1024), "ulimit", "10.0.0.2: 1,024 open files"),
    ],
)
def test_each_fault_is_found_alone(node: Node, name: str, said: str) -> None:
    assert faults(node) == {name: said}


def test_a_model_that_is_too_large_for_all_gpus_is_a_fault_of_each() -> None:
    assert faults(OTHER, needed_gib=80) == {"GPUs": "10.0.0.1, 10.0.0.2: L40S has 44.0 GiB, and tuning takes 80.0"}


def test_a_clock_that_may_be_right_is_no_fault() -> None:
    assert not faults(replace(OTHER, ahead_s=6.0, within_s=2.0))
    assert list(faults(replace(OTHER, ahead_s=6.0, within_s=0.5))) == ["clocks"]


def test_unlimited_files_are_enough() -> None:
    assert not faults(with_facts(open_files=-1))


def test_gpus_are_not_asked_about_where_processors_compute() -> None:
    assert "GPUs" not in checks(with_facts(gpus=None), gpus_count=False)


def test_a_cluster_without_gpus_lacks_them_where_they_count() -> None:
    bare = [replace(node, resources={"CPU": 8.0}, facts=replace(FACTS, gpus=None)) for node in (WELL, OTHER)]
    (gpus,) = (check for check in node_checks(bare, 1, True) if check.name == "GPUs")
    assert (gpus.is_well, gpus.found) == (False, "no node has one")


def test_nobody_speaks_and_all_is_said_once() -> None:
    silent = [replace(WELL, facts=None, fault="gone"), replace(OTHER, facts=None, fault="gone")]
    found = {check.name: check for check in node_checks(silent, 1, True)}
    assert found["nodes"].found == "10.0.0.1, 10.0.0.2: gone"
