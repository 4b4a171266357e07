"""Pools and trainers that cannot fit end in an error instead of waiting for ever."""

import pytest
import ray

from raycalib.errors import ConfigError
from raycalib.stages.cluster import Cluster
from raycalib.stages.pools.room import grows_by_itself
from raycalib.stages.settings import RaySettings

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module", autouse=True)
def local_ray(tmp_path_factory):
    ray.init(address="local", num_cpus=2, num_gpus=1, _temp_dir=str(tmp_path_factory.mktemp("r")), log_to_driver=False)
    yield
    ray.shutdown()


def test_a_pool_takes_what_fits_and_no_more_than_its_shards() -> None:
    """Where nothing is said, it may grow to one actor per shard, and no further than 64."""
    assert Cluster(RaySettings()).pool_size(10) == (1, 2, 10)
    assert Cluster(RaySettings()).pool_size(1) == (1, 1, 1)
    assert Cluster(RaySettings()).pool_size(1000) == (1, 2, 64)
    assert Cluster(RaySettings()).pool_size(10, waits_for_server=True) == (1, 2, 2)
    assert Cluster(RaySettings(gpus_per_worker=0.5)).pool_size(10) == (1, 2, 10)
    assert Cluster(RaySettings(min_workers=3, max_workers=4)).pool_size(10) == (3, 3, 4)


def test_a_stage_may_need_other_gpus_than_the_settings_say() -> None:
    tensor_parallel = Cluster(RaySettings(gpus_per_worker=4))
    assert tensor_parallel.pool_size(10, gpus_per_worker=1) == (1, 1, 10)
    assert tensor_parallel.pool_size(10, gpus_per_worker=0) == (1, 2, 10)
    with pytest.raises(ConfigError, match="needs 1 CPUs, 4 GPUs on one node, the cluster's nodes have 2 and 1"):
        tensor_parallel.pool_size(10)


def test_a_pool_that_cannot_fit_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="needs 1 CPUs, 2 GPUs on one node, the cluster's nodes have 2 and 1"):
        Cluster(RaySettings(gpus_per_worker=2)).pool_size(10)
    with pytest.raises(ConfigError, match=r"have 2 and 1; waited 1 s \(--ray.wait-for-nodes-s\)"):
        Cluster(RaySettings(gpus_per_worker=2, max_workers=4, wait_for_nodes_s=1)).pool_size(10)
    assert "waiting until the cluster grows, at most 1 s" in capsys.readouterr().out


def test_a_trainer_that_cannot_fit_says_what_it_needs() -> None:
    with pytest.raises(ConfigError, match=r"3 workers need 3 CPUs of 2 and 3 GPUs of 1"):
        Cluster(RaySettings(train_workers=3, gpus_per_worker=1)).trainers(16)
    assert Cluster(RaySettings(train_workers=2)).trainers(16) == 2
    with pytest.raises(ConfigError, match=r"3 workers need 3 CPUs of 2; waited 1 s"):
        Cluster(RaySettings(train_workers=3, max_workers=3, wait_for_nodes_s=1)).trainers(16)


def test_there_are_as_many_trainers_as_gpus_where_nothing_is_said() -> None:
    assert Cluster(RaySettings(train_workers=0, gpus_per_worker=1)).trainers(16) == 1
    assert Cluster(RaySettings(train_workers=0)).trainers(16) == 1


def test_as_many_trials_at_once_as_are_asked_for_on_a_cluster_that_others_have_started() -> None:
    assert Cluster(RaySettings()).trials_at_once() == 64
    assert Cluster(RaySettings(max_workers=100)).trials_at_once() == 100
    assert Cluster(RaySettings(max_workers=1)).trials_at_once() == 1


def test_a_cluster_that_was_started_by_hand_is_not_known_to_grow() -> None:
    assert not grows_by_itself()
