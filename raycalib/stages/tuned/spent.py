"""What a job has taken so far, over all its attempts: seconds, and on how many GPUs or processors."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
import time

import torch

from raycalib.errors import StorageError
from raycalib.storage import Location
from raycalib.tuning.world import World

SPENT = "spent.json"
"""Beside what a job leaves and no part of it: the same job may take longer elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a job has taken.

    Attributes:
        seconds: of wall time in its processes, from loading the model on; those of an attempt that was killed count up
            to its last evaluation.
        gpus: of the last attempt; 0 on CPUs.
        processors: threads of all its workers.
    """

    seconds: float
    gpus: int
    processors: int


def read_spent(place: Location) -> Spent | None:
    """What a job has taken; None of one that was not begun, or that a version without this file tuned."""
    return Spent(**place.read_json(SPENT)) if place.exists(SPENT) else None


class Spending:
    """Adds up what a job takes while it runs; only the first of its workers writes it down."""

    def __init__(self, place: Location, world: World, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins an attempt, which is noted at once."""
        self.place, self.world, self.clock = place, world, clock
        self._began = clock()
        before = read_spent(place) if world.is_first else None
        self._before = 0.0 if before is None else before.seconds
        self.write()

    def write(self) -> None:
        """Writes what was taken up to now; a store that does not answer keeps nobody from tuning."""
        if not self.world.is_first:
            return
        size, on_gpu = self.world.size, self.world.device.type == "cuda"
        spent = Spent(
            seconds=round(self._before + self.clock() - self._began, 3),
            gpus=size if on_gpu else 0,
            processors=size * torch.get_num_threads(),
        )
        with suppress(StorageError):
            self.place.write_json(SPENT, asdict(spent))
