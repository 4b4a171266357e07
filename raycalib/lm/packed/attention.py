"""Attention over packed rows: each row a trunk, and a branch that sees the trunk's beginning and itself.

    [trunk 0 | branch 0 | trunk 1 | branch 1 | …]

No mask over all tokens is made and nothing is padded: each part is a causal attention of its own, which the kernels do
without a mask. Legend: N tokens of the batch, A heads, D size of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from raycalib.errors import ModelError

PACKED_ATTENTION = "raycalib_packed"


@dataclass(frozen=True)
class PackedRow:
    """Lengths of one row in tokens.

    Attributes:
        n_trunk: of the trunk, a causal text from position 0.
        n_shared: tokens at the trunk's beginning that the branch sees.
        n_branch: of the branch, whose positions go on from ``n_shared``; 0 for none.
        reads: places in the row whose final states something reads, the trunk's before the branch's.
    """

    n_trunk: int
    n_shared: int = 0
    n_branch: int = 0
    reads: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return self.n_trunk + self.n_branch

    @property
    def n_trunk_reads(self) -> int:
        """How many of ``reads`` are in the trunk."""
        return sum(place < self.n_trunk for place in self.reads)


class _Scores(NamedTuple):
    """How a layer makes weights of queries and keys."""

    scaling: float | None
    window: int | None
    softcap: float | None


def use_packed_attention(model: PreTrainedModel) -> None:
    """Lets a model take packed rows: ``model(…, packed_rows=rows, attention_mask=no_mask(device))``.

    Without ``packed_rows`` it computes as before, by PyTorch's scaled dot product attention.

    Raises:
        ModelError: the model's attention cannot be replaced.
    """
    AttentionInterface.register(PACKED_ATTENTION, packed_attention)
    AttentionMaskInterface.register(PACKED_ATTENTION, sdpa_mask)
    try:
        model.set_attn_implementation(PACKED_ATTENTION)
    except (AttributeError, ValueError) as error:
        raise ModelError(
            f"model: the attention of {type(model).__name__} cannot be replaced, so that it cannot be tuned: {error}"
        ) from error


def no_mask(device: torch.device) -> Tensor:
    """What stands for a mask in a packed pass: transformers takes anything of four dimensions as it is."""
    return torch.empty(1, 1, 1, 1, device=device)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed_rows: Sequence[PackedRow] | None = None,
    read: Tensor | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """(1, N, A, D) attention of packed rows, in the form that transformers asks for.

    No dropout is applied to attention weights, whatever the model's configuration says.

    Args:
        module: the attention layer.
        query: (1, A, N, D).
        key, value: (1, A or fewer, N, D).
        attention_mask: not read where there are packed rows.
        packed_rows: None is an ordinary batch.
        read: (R,) positions of the rows' ``reads``, where these alone are asked for: the rest is 0; None for all.
        scaling: of the scores.
        sliding_window: tokens that a token sees, itself among them; None for all.
        softcap: bound of the scores, as in Gemma 2.
        others: the rest of what transformers hands on.

    Raises:
        ModelError: the model has attention sinks.
    """
    if packed_rows is None and softcap is not None:
        return _soft_capped(query, key, value, attention_mask, _Scores(scaling, sliding_window, softcap)), None
    if packed_rows is None:
        extra = {"sliding_window": sliding_window} | others
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **extra)
    if others.get("s_aux") is not None:
        raise ModelError("model: attention sinks cannot be tuned yet; choose another model")
    key, value = _for_all_heads(query, key, value)
    scores = _Scores(scaling, sliding_window, softcap)
    sizes = [size for row in packed_rows for size in (row.n_trunk, row.n_branch)]
    keys, values = key.split(sizes, dim=2), value.split(sizes, dim=2)
    if read is None:
        attended = _attend_rows(packed_rows, query.split(sizes, dim=2), keys, values, scores, None)
        return attended.transpose(1, 2), None
    counts = [n for row in packed_rows for n in (row.n_trunk_reads, len(row.reads) - row.n_trunk_reads)]
    queries, places = query.index_select(2, read).split(counts, dim=2), read.split(counts)
    attended = _attend_rows(packed_rows, queries, keys, values, scores, places)
    # As wide as the values, which multi-head latent attention makes narrower than its queries.
    whole = query.new_zeros(*query.shape[:3], value.shape[3])
    return whole.index_copy(2, read, attended).transpose(1, 2), None


def _soft_capped(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scores: _Scores) -> Tensor:
    """Ordinary attention with a bound, which PyTorch's kernels do not know; (B, N, A, D).

    Args:
        query: (B, A, N, D).
        key, value: (B, A or fewer, keys, D).
        mask: (B, 1, N, keys), True or 0 where a token is seen; None is causal.
        scores: how weights are made.
    """
    key, value = _for_all_heads(query, key, value)
    n_query, n_key = query.shape[2], key.shape[2]
    if mask is None:
        mask = _causal_mask(
            torch.arange(n_key - n_query, n_key, device=query.device), n_key, scores.window, query.dtype
        )
    elif mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=query.dtype, device=query.device).masked_fill_(
            ~mask, torch.finfo(query.dtype).min
        )
    return _bounded(query, key, value, scores, mask).transpose(1, 2)


def _for_all_heads(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values once per query head."""
    groups = query.shape[1] // key.shape[1]
    if groups == 1:
        return key, value
    return key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)


def _bounded(query: Tensor, key: Tensor, value: Tensor, scores: _Scores, mask: Tensor) -> Tensor:
    """Attention whose scores have a bound."""
    assert scores.softcap is not None
    products = query @ key.transpose(2, 3) * (query.shape[3] ** -0.5 if scores.scaling is None else scores.scaling)
    weights = (scores.softcap * torch.tanh(products / scores.softcap) + mask).softmax(dim=-1, dtype=torch.float32)
    return weights.to(query.dtype) @ value


def _attend_rows(
    rows: Sequence[PackedRow],
    queries: Sequence[Tensor],
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    scores: _Scores,
    places: Sequence[Tensor] | None,
) -> Tensor:
    """Attention of the rows' trunks and branches in turn; of all their tokens, or of those at given places alone."""
    attended, start = [], 0
    for index, row in enumerate(rows):
        trunk, branch = 2 * index, 2 * index + 1
        asked = None if places is None else places[trunk] - start
        attended.append(_causal(queries[trunk], keys[trunk], values[trunk], scores, asked))
        if row.n_branch:
            key = torch.cat((keys[trunk][:, :, : row.n_shared], keys[branch]), dim=2)
            value = torch.cat((values[trunk][:, :, : row.n_shared], values[branch]), dim=2)
            asked = None if places is None else places[branch] - (start + row.n_trunk - row.n_shared)
            attended.append(_causal(queries[branch], key, value, scores, asked))
        start += row.length
    return torch.cat(attended, dim=2)


def _causal(query: Tensor, key: Tensor, value: Tensor, scores: _Scores, asked: Tensor | None) -> Tensor:
    """Attention of tokens to what is before them and themselves.

    Args:
        query: of some tokens of a text.
        key, value: of all of them.
        scores: how weights are made.
        asked: the queries' places in the text; None for the last.
    """
    n_query, n_key = query.shape[2], key.shape[2]
    window = scores.window if scores.window is not None and n_key > scores.window else None
    if n_query == 0:
        return value[:, :, :0]
    if asked is None and n_query == n_key and window is None and scores.softcap is None:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scores.scaling)
    if asked is None:
        asked = torch.arange(n_key - n_query, n_key, device=query.device)
    mask = _causal_mask(asked, n_key, window, query.dtype)
    if scores.softcap is None:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scores.scaling)
    return _bounded(query, key, value, scores, mask)


def _causal_mask(asked: Tensor, n_key: int, window: int | None, dtype: torch.dtype) -> Tensor:
    """(queries, n_key) float mask: 0 where a token is seen, the least number elsewhere."""
    place, asking = torch.arange(n_key, device=asked.device), asked[:, None]
    hidden = place > asking
    if window is not None:
        hidden |= place <= asking - window
    return torch.zeros(hidden.shape, dtype=dtype, device=asked.device).masked_fill_(hidden, torch.finfo(dtype).min)
