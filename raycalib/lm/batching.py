"""Length-sorted batches under a token budget."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

DEFAULT_MAX_BATCH_TOKENS = 4096

CPU_READ_TOKENS = 2048
"""Positions that a CPU reads at once: of more, what lies between two layers does not fit into its caches."""


def tokens_at_once(max_batch_tokens: int, device: torch.device) -> int:
    """Positions to read in one pass within a budget.

    >>> tokens_at_once(16384, torch.device("cpu")), tokens_at_once(16384, torch.device("cuda"))
    (2048, 16384)
    """
    return min(CPU_READ_TOKENS, max_batch_tokens) if device.type == "cpu" else max_batch_tokens


def length_batches(lengths: Sequence[int], max_batch_tokens: int) -> Iterator[list[int]]:
    """Indices of rows, longest last, in batches whose padded size stays within the budget.

    A row longer than the budget is a batch of its own.

    >>> list(length_batches([5, 1, 4, 2], max_batch_tokens=8))
    [[1, 3], [2], [0]]
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (lengths[index], index)):
        if batch and lengths[index] * (len(batch) + 1) > max_batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pad_right(ids: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """(B, S) ids; under causal attention the padding behind a row cannot reach it, so no mask is needed."""
    width = max(map(len, ids))
    return torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in ids])


def pad_left(ids: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """(B, S) ids and their attention mask, for decoding."""
    width = max(map(len, ids))
    padded = torch.tensor([[*[pad_id] * (width - len(row)), *row] for row in ids])
    mask = torch.tensor([[*[0] * (width - len(row)), *[1] * len(row)] for row in ids])
    return padded, mask
