"""Reads texts up to the logits of their first new tokens."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from raycalib.lm.batching import pad_left
from raycalib.lm.logits import decoder_of
from raycalib.lm.packed import LastLayerReads


class FirstReader:
    """One per model: the last layer computes what the first logits need, and keys and values of all tokens."""

    def __init__(self, model: PreTrainedModel, pad: int) -> None:
        self.model, self.pad = model, pad
        self._reads = LastLayerReads(decoder_of(model))

    def logits(self, texts: Sequence[Sequence[int]], cache: DynamicCache | None) -> Tensor:
        """(B, V) logits behind each text; its keys and values go to the cache."""
        ids, mask = (part.to(self.model.device) for part in pad_left(texts, self.pad))
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        n_tokens = ids.shape[1]
        self._reads.narrow(torch.tensor([n_tokens - 1], device=ids.device), n_tokens)
        try:
            out = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=cache is not None,
                logits_to_keep=1,
            )
        finally:
            self._reads.widen()
        logits: Tensor = out.logits[:, -1]
        return logits

    def logits_and_states(self, texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor | None]:
        """(B, V) logits behind each text, and the (B, H) final hidden states that the model made them of.

        None in their place where the model does not call what it names as its decoder.
        """
        kept: list[Tensor] = []

        def keep(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            kept.append(output.last_hidden_state[:, -1])

        # Of a decoder in a larger part (OPT's, Gemma 3's beside a tower), the inner one is called for sure.
        hook = self.model.get_decoder().register_forward_hook(keep)
        try:
            return self.logits(texts, None), kept[0] if kept else None
        finally:
            hook.remove()
