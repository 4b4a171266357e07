"""Which rows make a step: a function of the seed and the step alone, never of the number of workers."""

from functools import lru_cache

import numpy as np


class DataOrder:
    """An endless sequence of shuffled passes over ``n_rows`` rows, cut into steps of ``global_batch_size``."""

    def __init__(self, n_rows: int, global_batch_size: int, seed: int) -> None:
        self.n_rows = n_rows
        self.global_batch_size = global_batch_size
        self.seed = seed
        self._pass = lru_cache(maxsize=2)(self._permutation)

    def _permutation(self, number: int) -> np.ndarray:
        return np.random.default_rng([self.seed, number]).permutation(self.n_rows)

    def step_rows(self, step: int) -> list[int]:
        """Row indices of a step (counted from 0), ``global_batch_size`` of them."""
        first = step * self.global_batch_size
        return [
            int(self._pass(place // self.n_rows)[place % self.n_rows])
            for place in range(first, first + self.global_batch_size)
        ]

    def rank_rows(self, step: int, world_rank: int, world_size: int) -> list[int]:
        """The step's rows that one worker reads: every ``world_size``-th."""
        return self.step_rows(step)[world_rank::world_size]
