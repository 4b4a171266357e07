"""Which machines Ray's autoscaler starts by the files, asked of its own scheduler."""

import pytest
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil

from tests.cluster.cluster_files import RENTED, autoscaling, load

GPU = {"CPU": 1, "GPU": 1}


def started(name: str, bundle: dict[str, int], count: int, refused: tuple[str, ...] = ()) -> dict[str, int]:
    """Machines by type for so many workers that ask for the bundle, after the provider has refused some types."""
    requests = [ResourceRequestUtil.make(bundle) for _ in range(count)]
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=autoscaling(name).get_node_type_configs(),
        max_num_nodes=load(name)["max_workers"],  # the head is not counted where it is not told of
        resource_requests=ResourceRequestUtil.group_by_count(requests),
        recoverable_resource_availabilities=dict.fromkeys(refused, 0.0),
    )
    reply = ResourceDemandScheduler(None).schedule(request)
    return {each.instance_type: each.count for each in reply.to_launch}


@pytest.mark.parametrize("name", RENTED)
def test_nothing_is_started_where_nothing_is_asked(name: str) -> None:
    assert started(name, GPU, 0) == {}


@pytest.mark.parametrize("name", RENTED)
def test_workers_with_a_gpu_get_the_smaller_spot_machine(name: str) -> None:
    assert started(name, GPU, 3) == {"gpu-7b-spot": 3}


@pytest.mark.parametrize("name", RENTED)
def test_where_spot_was_refused_on_demand_machines_start(name: str) -> None:
    assert started(name, GPU, 3, ("gpu-7b-spot",)) == {"gpu-7b-on-demand": 3}
    assert started(name, {"CPU": 1}, 3, ("cpu-spot",)) == {"cpu-on-demand": 1}


@pytest.mark.parametrize("name", RENTED)
def test_judging_takes_no_gpu(name: str) -> None:
    assert started(name, {"CPU": 1}, 3) == {"cpu-spot": 1}


@pytest.mark.parametrize("name", RENTED)
def test_a_cluster_ends_somewhere(name: str) -> None:
    assert sum(started(name, GPU, 100).values()) == load(name)["max_workers"]


@pytest.mark.parametrize("name", RENTED)
def test_the_larger_machine_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(name)
    for each in ("gpu-7b-spot", "gpu-7b-on-demand"):
        config["available_node_types"][each]["max_workers"] = 0
    monkeypatch.setattr("tests.cluster.cluster_files.load", lambda _: config)
    assert started(name, GPU, 3) == {"gpu-13b-spot": 3}
    assert started(name, GPU, 3, ("gpu-13b-spot",)) == {"gpu-13b-on-demand": 3}
