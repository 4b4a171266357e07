"""Placement groups that hold room for nobody are removed, and those that are used are not."""

from collections.abc import Iterator
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any

import pytest
import ray
from ray.util import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raycalib.stages import orphans
from raycalib.stages.left_over import groups_now
from raycalib.stages.orphans import DRIVERS, Orphans, own_groups_removed, remove_of_dead_drivers
from raycalib.storage import Location
from tests.stages.ray_nodes import joined_nodes

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]
KILLED = """
import sys, time, ray
from raycalib.stages.orphans import own_groups_removed
from raycalib.storage import Location
ray.init(address=sys.argv[1], log_to_driver=False)
with own_groups_removed(Location(sys.argv[2])):
    assert ray.util.placement_group([{"CPU": 1}], lifetime="detached").wait(30)
    print("there", flush=True)
    time.sleep(600)
"""


class Nodes:
    def __init__(self, address: str) -> None:
        self.address = address


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with joined_nodes(tmp_path_factory.mktemp("r"), num_cpus=4) as joined:
        yield Nodes(joined.address)


@ray.remote(num_cpus=0)
class Controller:
    """Makes a group and ends before it tells anybody of it, as one of Ray Train may."""

    def make(self) -> str:
        group = placement_group([{"CPU": 1}])
        assert group.wait(30)
        return str(group.id.hex())


@ray.remote(num_cpus=1)
class Worker:
    def works(self) -> bool:
        return True


def test_a_group_whose_controller_was_killed_is_removed_and_one_at_work_is_not(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(orphans, "say", said.append)
    others = placement_group([{"CPU": 1}])
    assert others.wait(30)
    place, now = Location(str(tmp_path)), [0.0]

    def look(at: float) -> frozenset[str]:
        now[0] = at
        callback.on_step_begin(iteration=1, trials=[])
        return groups_now()

    with own_groups_removed(place):
        callback = Orphans(clock=lambda: now[0])
        controller = Controller.remote()
        lost = ray.get(controller.make.remote())
        used = placement_group([{"CPU": 1}])
        strategy: Any = PlacementGroupSchedulingStrategy(placement_group=used)
        assert ray.get(Worker.options(scheduling_strategy=strategy).remote().works.remote())
        worker = Worker.options(scheduling_strategy=strategy).remote()
        assert ray.get(worker.works.remote())
        ray.kill(controller)
        assert len(look(0)) == 3
        assert len(look(29)) == 3
        assert look(35) == {used.id.hex(), others.id.hex()}
        assert lost not in groups_now()
        assert len(said) == 1
        assert (place / DRIVERS).names()
        assert ray.get(worker.works.remote())
    assert groups_now() == {others.id.hex()}
    assert (place / DRIVERS).names() == []


def test_the_groups_of_a_driver_that_was_killed_are_removed_by_the_next(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(orphans, "say", said.append)
    place = Location(str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", KILLED, nodes.address, place.uri], stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"there\n"
        remove_of_dead_drivers(place)
        assert len(groups_now()) == 1, "it is at work"
        driver.send_signal(signal.SIGKILL)
        driver.wait(timeout=30)
    for _ in range(100):
        remove_of_dead_drivers(place)
        if not groups_now():
            break
        ray.get(ray.remote(lambda: None).remote())  # until Ray has seen that it is gone
    assert groups_now() == frozenset()
    assert said == ["  1 placement groups of a command that was killed are removed; they held room"]
    assert (place / DRIVERS).names() == []
