"""What is left on a cluster: this job's actors and new placement groups, and neither Ray Data's own nor others'."""

from collections.abc import Iterator

import pytest
import ray
from ray.util import placement_group, remove_placement_group

from raycalib.stages.left_over import LeftOver, groups_now, left_over


def test_what_is_left_is_named() -> None:
    assert LeftOver().line == "nothing is left on the cluster: 0 actors, 0 placement groups"
    found = LeftOver({"ImplicitFunc": 2, "TrainController": 1}, frozenset("g"))
    assert found.line == (
        "left on the cluster: 3 actors (2 ImplicitFunc, 1 TrainController), 1 placement groups; they end with this job"
    )


def test_without_ray_nothing_is_left() -> None:
    assert groups_now() == frozenset()
    assert left_over(()) == LeftOver()


@pytest.fixture
def local_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    ray.init(
        address="local",
        num_cpus=3,
        include_dashboard=False,
        _temp_dir=str(tmp_path_factory.mktemp("r")),
        log_to_driver=False,
    )
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_actors_and_groups_are_counted_until_they_are_gone(local_ray: None) -> None:
    others = placement_group([{"CPU": 1}])
    assert others.wait(30)
    before = groups_now()
    assert len(before) == 1

    @ray.remote(num_cpus=0)
    class Trial:
        def works(self) -> bool:
            return True

    assert ray.data.range(4).map_batches(lambda batch: batch).count() == 4
    mine, trial = placement_group([{"CPU": 1}]), Trial.remote()
    assert mine.wait(30)
    assert ray.get(trial.works.remote())
    found = left_over(before, within_s=0)
    assert [(kind.rpartition(".")[2], n) for kind, n in found.actors.items()] == [("Trial", 1)]
    assert len(found.groups) == 1
    remove_placement_group(mine)
    ray.kill(trial)
    assert left_over(before) == LeftOver()
