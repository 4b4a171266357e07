"""Batches that shrink where memory runs out, and only there."""

from collections.abc import Callable, Mapping, Sequence
import gc
from typing import TypeVar

import torch

from raycalib.lm.batching import length_batches

Result = TypeVar("Result")

MEMORY_TEXTS = ("not enough memory", "can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""Of the CPU's allocator, and of a device's driver and libraries beside torch's allocator."""
TOO_LARGE = "out of memory: this text does not fit alone; use a larger device or lower --max-tokens"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch's own error, or a RuntimeError of the CPU's allocator or of a device's libraries.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
    True
    >>> is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    False
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in MEMORY_TEXTS)


def release_memory() -> None:
    """Gives back what failed work held; call it once the error and its frames are gone."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class TokenBudget:
    """Positions of a batch at most, padding included.

    Attributes:
        tokens: the budget now; it never grows again.
        n_halved: how often memory has run out.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.n_halved = 0

    def halve(self) -> None:
        """Halves the budget for good."""
        self.tokens = max(1, self.tokens // 2)
        self.n_halved += 1


def in_batches(
    lengths: Mapping[int, int],
    budget: TokenBudget,
    do: Callable[[list[int]], Sequence[Result]],
    within: Callable[[int], int] = int,
) -> dict[int, Result | None]:
    """Results by index, made in length-sorted batches within the budget; None where one alone runs out of memory.

    Where a batch of several runs out, the budget halves and what is left is batched anew.

    Args:
        lengths: by index.
        budget: of positions; smaller afterwards where memory has run out.
        do: makes the results of the indices of one batch.
        within: positions of a batch at most, from the budget: all of it, unless the device prefers less.

    Raises:
        Exception: what ``do`` raises, unless memory ran out.
    """
    results: dict[int, Result | None] = {}
    while left := [index for index in lengths if index not in results]:
        for places in length_batches([lengths[index] for index in left], within(budget.tokens)):
            batch = [left[place] for place in places]
            done = _try(do, batch)
            if done is None and len(batch) > 1:
                budget.halve()
                break
            results.update(zip(batch, done, strict=True) if done is not None else [(batch[0], None)])
    return results


def _try(do: Callable[[list[int]], Sequence[Result]], batch: list[int]) -> Sequence[Result] | None:
    """The batch's results; None, with the memory given back, where it ran out."""
    try:
        return do(batch)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    release_memory()  # out of the except block, whose error holds on to the memory
    return None
