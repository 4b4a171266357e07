from collections.abc import Sequence

import pytest
import torch
import torch.distributed as dist

from raycalib.tuning.world import World, current_world


def test_a_world_of_one_gathers_its_own() -> None:
    world = World()
    assert world.is_first
    assert world.gather([3, 1, 2]) == [3, 1, 2]
    world.barrier()


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("n", [0, 1, 5, 6])
def test_gathering_undoes_the_dealing(size: int, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    items = list(range(n))

    def all_gather(parts: list[Sequence[int] | None], mine: Sequence[int]) -> None:
        parts[:] = [items[rank::size] for rank in range(size)]

    monkeypatch.setattr(dist, "all_gather_object", all_gather)
    for rank in range(size):
        assert World(rank=rank, size=size).gather(items[rank::size]) == items


def test_only_the_first_writes() -> None:
    assert [World(rank=rank, size=3).is_first for rank in range(3)] == [True, False, False]


def test_without_a_process_group_the_world_is_this_process() -> None:
    world = current_world(torch.device("cpu"))
    assert (world.rank, world.size, world.device.type) == (0, 1, "cpu")
    assert world.from_first(lambda: 7) == 7
