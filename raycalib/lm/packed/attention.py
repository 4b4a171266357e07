"""Attention over packed rows: each row a trunk, and a branch that sees the trunk's beginning and itself.

    [trunk 0 | branch 0 | trunk 1 | branch 1 | …]

No mask over all tokens is made and nothing is padded: each part is a causal attention of its own, which the kernels do
without a mask. Legend: N tokens of the batch, A heads, D size of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    """

    n_trunk: int
    n_shared: int = 0
    n_branch: int = 0

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return self.n_trunk + self.n_branch


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
        scaling: of the scores.
        sliding_window: tokens that a token sees, itself among them; None for all.
        softcap: bound of the scores, as in Gemma 2.
        others: the rest of what transformers hands on.

    Raises:
        ModelError: the model has attention sinks.
    """
    if packed_rows is None:
        extra = {"sliding_window": sliding_window, "softcap": softcap} | others
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **extra)
    if others.get("s_aux") is not None:
        raise ModelError("model: attention sinks cannot be tuned yet; choose another model")
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    sizes = [size for row in packed_rows for size in (row.n_trunk, row.n_branch)]
    parts = [tensor.split(sizes, dim=2) for tensor in (query, key, value)]
    attended = []
    for index, row in enumerate(packed_rows):
        (q, k, v), (branch_q, branch_k, branch_v) = ([part[2 * index + place] for part in parts] for place in range(2))
        attended.append(_causal(q, k, v, scaling, sliding_window, softcap))
        if row.n_branch:
            k = torch.cat((k[:, :, : row.n_shared], branch_k), dim=2)
            v = torch.cat((v[:, :, : row.n_shared], branch_v), dim=2)
            attended.append(_causal(branch_q, k, v, scaling, sliding_window, softcap))
    return torch.cat(attended, dim=2).transpose(1, 2), None


def _causal(
    query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None, softcap: float | None
) -> Tensor:
    """Attention of the last tokens of a text to all of it; each sees itself and what is before it."""
    n_query, n_key = query.shape[2], key.shape[2]
    windowed = window is not None and n_key > window
    if n_query == n_key and not windowed and softcap is None:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
    mask = _causal_mask(n_query, n_key, window if windowed else None, query)
    if softcap is None:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    scores = query @ key.transpose(2, 3) * (query.shape[3] ** -0.5 if scaling is None else scaling)
    weights = (softcap * torch.tanh(scores / softcap) + mask).softmax(dim=-1, dtype=torch.float32)
    return weights.to(query.dtype) @ value


def _causal_mask(n_query: int, n_key: int, window: int | None, like: Tensor) -> Tensor:
    """(n_query, n_key) float mask: 0 where a token is seen, the least number elsewhere."""
    place = torch.arange(n_key, device=like.device)
    asking = place[n_key - n_query :, None]
    hidden = place > asking
    if window is not None:
        hidden |= place <= asking - window
    return torch.zeros(n_query, n_key, dtype=like.dtype, device=like.device).masked_fill_(
        hidden, torch.finfo(like.dtype).min
    )
