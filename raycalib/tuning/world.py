"""The group of workers that tune together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import torch
import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This worker's place in the group.

    Attributes:
        rank: from 0 to ``size - 1``; rank 0 writes files.
        size: number of workers.
        device: where this worker computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this worker writes files and reports."""
        return self.rank == 0

    def gather(self, values: Sequence[T]) -> list[T]:
        """All workers' values, interleaved so that ``items[rank::size]`` comes back in the order of ``items``."""
        if self.size == 1:
            return list(values)
        parts: list[Sequence[T] | None] = [None] * self.size
        dist.all_gather_object(parts, list(values))
        present = [part for part in parts if part is not None]
        longest = max(map(len, present))
        return [part[place] for place in range(longest) for part in present if place < len(part)]

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums of all workers' values, place by place, in float64."""
        if self.size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return summed.tolist()

    def from_first(self, make: Callable[[], T]) -> T:
        """What worker 0 makes, on every worker: what is read from storage is read once, so that all agree."""
        if self.size == 1:
            return make()
        box: list[T | None] = [make() if self.is_first else None]
        dist.broadcast_object_list(box, src=0)
        return cast(T, box[0])

    def barrier(self) -> None:
        """Waits for all workers."""
        if self.size > 1:
            dist.barrier()


def current_world(device: torch.device) -> World:
    """The world of this process: of its initialized process group, or a world of one."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size(), device)
    return World(device=device)
