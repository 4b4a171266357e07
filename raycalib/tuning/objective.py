"""One module that computes the whole tuning loss in its ``forward``, in one pass over shared-prefix rows."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from raycalib.lm.label_tokens import label_logits, soft_capped
from raycalib.tuning.batches import TuningBatch
from raycalib.tuning.losses import query_losses, token_divergences
from raycalib.tuning.settings import KlKind


class LossParts(NamedTuple):
    """Sums over the batch's rows, so that parts of a step add up whatever their size."""

    total: Tensor
    query: Tensor
    divergence: Tensor
    n_rows: int


class CalibrationObjective(nn.Module):
    """Query loss plus ``kl_decay`` times the divergence from the base model.

    Args:
        causal_lm: a causal language model with trainable adapters in place and everything else frozen.
        label_tokens: ids of ``i`` (no) and ``ii`` (yes).
        kl_decay: weight of the divergence.
        kl_kind: which divergence.
    """

    def __init__(self, causal_lm: nn.Module, label_tokens: tuple[int, int], kl_decay: float, kl_kind: KlKind) -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self.label_tokens = label_tokens
        self.kl_decay = kl_decay
        self.kl_kind = kl_kind

    def forward(self, batch: TuningBatch, base_states: Tensor | None = None) -> LossParts:
        """Summed losses of a batch.

        Args:
            batch: shared-prefix rows.
            base_states: (T, H) final hidden states of the base model at the KL positions; None leaves the divergence
                out.
        """
        states = self.hidden_states(batch)
        query = query_losses(self._label_logits(states, batch), batch.labels).sum()
        divergence = torch.zeros((), device=query.device)
        if base_states is not None and self.kl_decay > 0:
            tuned = self._head(states[batch.kl_row, batch.kl_index])
            divergence = token_divergences(tuned, self._head(base_states), self.kl_kind).sum()
        return LossParts(query + self.kl_decay * divergence, query, divergence, batch.n_rows)

    def hidden_states(self, batch: TuningBatch) -> Tensor:
        """(B, S, H) final hidden states, after the last norm."""
        decoder = self.causal_lm.get_submodule("model")
        dtype = next(decoder.parameters()).dtype
        states: Tensor = decoder(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask(dtype),
            position_ids=batch.position_ids,
            use_cache=False,
        ).last_hidden_state
        return states

    @torch.no_grad()
    def query_logits(self, batch: TuningBatch) -> Tensor:
        """(B, 2) float32 logits of ``i`` and ``ii``."""
        return self._label_logits(self.hidden_states(batch), batch)

    @torch.no_grad()
    def kl_states(self, batch: TuningBatch) -> Tensor:
        """(T, H) final hidden states at the KL positions: with the adapters off, the reference's."""
        return self.hidden_states(batch)[batch.kl_row, batch.kl_index]

    def _label_logits(self, states: Tensor, batch: TuningBatch) -> Tensor:
        last = states[torch.arange(batch.n_rows, device=states.device), batch.query_index]
        logits = label_logits(self.causal_lm.get_submodule("lm_head"), last, self.label_tokens)
        return soft_capped(logits, self.causal_lm.config)

    def _head(self, states: Tensor) -> Tensor:
        logits: Tensor = self.causal_lm.get_submodule("lm_head")(states)
        return soft_capped(logits, self.causal_lm.config)
