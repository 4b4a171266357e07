"""How many pools compute at once, and how large each is; the cluster is made up, so without Ray."""

import pytest

from raycalib.stages import cluster as module
from raycalib.stages.cluster import Cluster
from raycalib.stages.settings import RaySettings


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """What the nodes have; of a cluster that was started by hand."""
    found: list[dict[str, float]] = []
    monkeypatch.setattr(Cluster, "connect", lambda self: None)
    monkeypatch.setattr(module, "nodes_now", lambda: found)
    monkeypatch.setattr(module, "lack_of_workers", lambda cpus, gpus: "")
    monkeypatch.setattr(module, "grows_by_itself", lambda: False)
    return found


def cluster(at_once: int = 0, chains: int = 0, started_here: bool = True, **settings: float) -> Cluster:
    made = Cluster(RaySettings(**settings), at_once=at_once)
    made.chains, made._started_here = chains, started_here
    return made


def test_there_is_a_share_for_each_chain_as_far_as_there_is_a_worker_for_it(nodes: list[dict[str, float]]) -> None:
    nodes.append({"CPU": 2})
    assert cluster().shares() == 1
    assert [cluster(chains=chains).shares() for chains in (1, 2, 3)] == [1, 2, 2]
    assert [cluster(at_once=at_once, chains=4).shares() for at_once in (1, 2, 8)] == [1, 2, 2]
    assert cluster(at_once=2).shares() == 2
    assert cluster(at_once=8, chains=1).shares() == 1
    assert cluster(chains=4, cpus_per_worker=2).shares() == 1
    assert cluster(chains=4, max_workers=1).shares() == 1, "a model may be too large for a second worker"
    nodes.append({"CPU": 16, "GPU": 8})
    assert cluster(chains=16, gpus_per_worker=1).shares() == 8
    assert cluster(chains=3, gpus_per_worker=4).shares() == 2
    nodes.clear()
    assert cluster(chains=3).shares() == 1


def test_a_cluster_that_grows_has_shares_for_what_is_to_come(
    nodes: list[dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.append({"CPU": 1})
    assert cluster(chains=3, started_here=False).shares() == 1
    monkeypatch.setattr(module, "grows_by_itself", lambda: True)
    assert cluster(chains=3, started_here=False).shares() == 3
    assert cluster(chains=3, started_here=False, max_workers=2).shares() == 2


def test_a_pool_has_its_part_of_the_workers_and_one_at_least(nodes: list[dict[str, float]]) -> None:
    nodes.append({"CPU": 2})
    assert cluster(chains=2).pool_size(10) == (1, 1, 1)
    assert cluster(chains=2).pool_size(10, waits_for_server=True) == (1, 1, 1)
    assert cluster(chains=1).pool_size(10) == (1, 2, 2)
    nodes.append({"CPU": 32, "GPU": 8})
    assert cluster(chains=3, gpus_per_worker=1).pool_size(100) == (1, 2, 2)
    assert cluster(chains=2, gpus_per_worker=4).pool_size(100, gpus_per_worker=1) == (1, 4, 4)
    assert cluster(chains=2, gpus_per_worker=1).pool_size(3) == (1, 3, 3)
    assert cluster(chains=2, gpus_per_worker=1, max_workers=4).pool_size(100) == (1, 2, 2)


def test_a_pool_that_may_grow_has_its_part_of_that_too(nodes: list[dict[str, float]]) -> None:
    nodes.append({"CPU": 32, "GPU": 8})
    joined = cluster(chains=4, gpus_per_worker=1, started_here=False)
    assert joined.pool_size(1000) == (1, 2, 16)
    assert joined.pool_size(10) == (1, 2, 10)
    assert joined.pool_size(1000, waits_for_server=True) == (1, 2, 2)
    assert cluster(chains=4, gpus_per_worker=1, started_here=False, max_workers=40).pool_size(1000) == (1, 2, 10)
