"""Which nodes are there, and what they hold."""

import socket

import pytest
import ray

from raycalib.stages.pools.room import gone_nodes, lack_of_trainers, lack_of_workers


def node(name: str, port: int, *, alive: bool = True, **resources: float) -> dict[str, object]:
    place = {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": port}
    return {"NodeID": name, "Alive": alive, "Resources": resources, **place}


def test_a_node_that_does_not_answer_is_gone_before_ray_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening, socket.socket() as closed:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        closed.bind(("127.0.0.1", 0))  # and does not listen
        port, nobody = listening.getsockname()[1], closed.getsockname()[1]
        nodes = [node("here", port), node("dead", port, alive=False), node("silent", nobody)]
        monkeypatch.setattr(ray, "nodes", lambda: nodes)
        assert gone_nodes() == {"dead", "silent"}


def test_what_no_node_holds_alone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node("a", 1, CPU=4), node("b", 1, CPU=1, GPU=1), node("c", 1, alive=False, CPU=8, GPU=8)]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    assert lack_of_workers(1, 1) == ""
    needs = "a worker needs 2 CPUs, 1 GPUs on one node, the cluster's nodes have 4 and 0, 1 and 1"
    assert lack_of_workers(2, 1) == needs


def test_trainers_that_fit_in_sum_and_on_no_node_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head with 64 CPUs, and a node whose 8 GPUs have 4 CPUs."""
    nodes = [node("head", 1, CPU=64), node("gpus", 1, CPU=4, GPU=8)]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 68.0, "GPU": 8.0})
    assert lack_of_trainers(4, 1, 1) == ""
    each = "1 CPUs and 1 GPUs each on one node, of which the cluster's nodes hold 4"
    assert lack_of_trainers(8, 1, 1) == f"8 workers need {each}"
    assert lack_of_trainers(9, 1, 1) == "9 workers need 9 GPUs of 8"
