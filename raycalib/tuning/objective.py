"""One module that computes the whole tuning loss in its ``forward``, in one pass over shared-prefix rows."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from raycalib.lm.label_tokens import soft_capped
from raycalib.lm.packed import LastLayerReads, RowDropouts, no_mask, use_packed_attention
from raycalib.tuning.batches import TuningBatch
from raycalib.tuning.losses import query_losses, token_divergences
from raycalib.tuning.settings import KlKind

Found = Literal["query_logits", "kl_states", "read_states", "plain_states"]
Wanted = Literal["losses"] | Found


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
        head: a classifier of (B, H) final states into (B, 2) logits, in place of the logits of the two labels.

    Raises:
        ModelError: the model's attention cannot be replaced.
    """

    label_weight: Tensor
    label_bias: Tensor | None

    def __init__(
        self,
        causal_lm: PreTrainedModel,
        label_tokens: tuple[int, int],
        kl_decay: float,
        kl_kind: KlKind,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self.head = head
        self.kl_decay = kl_decay
        self.kl_kind = kl_kind
        use_packed_attention(causal_lm)
        self.reads = LastLayerReads(causal_lm.get_submodule("model"))
        self.dropouts = RowDropouts(causal_lm)
        # Rows of their own, in float32: see label_logits; and ZeRO-3 keeps the head's weight elsewhere between passes.
        lm_head, chosen = causal_lm.get_submodule("lm_head"), list(label_tokens)
        bias = getattr(lm_head, "bias", None)
        self.register_buffer("label_weight", lm_head.weight[chosen].detach().float(), persistent=False)
        self.register_buffer("label_bias", None if bias is None else bias[chosen].detach().float(), persistent=False)

    def forward(
        self, batch: TuningBatch, base_states: Tensor | None = None, wanted: Wanted = "losses"
    ) -> LossParts | Tensor:
        """Summed losses of a batch, or what else is wanted of a pass: DeepSpeed has a hold on ``forward`` alone.

        Args:
            batch: shared-prefix rows.
            base_states: (T, H) final hidden states of the base model at the KL positions; None leaves the divergence
                out.
            wanted: ``losses``; ``query_logits``, (B, 2) in float32 of ``i`` and ``ii``; ``kl_states``, the (T, H) final
                hidden states at the KL positions, the reference's where adapters are off; ``read_states``, the (R, H)
                at all positions that the loss reads; or ``plain_states``, the same of a batch of one text by a plain
                pass of the model, as a yardstick.
        """
        if wanted == "plain_states":
            return self._plain_states(batch)
        states = self.read_states(batch)
        if wanted == "read_states":
            return states
        if wanted == "query_logits":
            return self._label_logits(states[batch.query_at])
        if wanted == "kl_states":
            return states[batch.kl_at]
        query = query_losses(self._label_logits(states[batch.query_at]), batch.labels).sum()
        divergence = torch.zeros((), device=query.device)
        if base_states is not None and self.kl_decay > 0:
            with torch.no_grad():
                base = self._head(base_states.to(states.dtype))
            divergence = token_divergences(self._head(states[batch.kl_at]), base, self.kl_kind).sum()
        return LossParts(query + self.kl_decay * divergence, query, divergence, batch.n_rows)

    def read_states(self, batch: TuningBatch) -> Tensor:
        """(R, H) final hidden states, after the last norm, at the positions that the loss reads."""
        self.reads.narrow(batch.read, batch.n_tokens)
        self.dropouts.seeds = batch.seeds
        self.dropouts.lengths = ([row.length for row in batch.rows], batch.n_read)
        decoder = self.causal_lm.get_submodule("model")
        states: Tensor = decoder(
            input_ids=batch.input_ids,
            attention_mask=no_mask(batch.input_ids.device),
            position_ids=batch.position_ids,
            use_cache=False,
            packed_rows=batch.rows,
        ).last_hidden_state
        if not (decoder.gradient_checkpointing and self.training):  # else layers are computed again on the way back
            self.reads.widen()
        return states[0].index_select(0, batch.read)

    def _plain_states(self, batch: TuningBatch) -> Tensor:
        decoder = self.causal_lm.get_submodule("model")
        states: Tensor = decoder(input_ids=batch.input_ids, use_cache=False).last_hidden_state
        return states[0].index_select(0, batch.read)

    def _label_logits(self, states: Tensor) -> Tensor:
        if self.head is not None:
            logits: Tensor = self.head(states.float())
            return logits
        labels = functional.linear(states.float(), self.label_weight, self.label_bias)
        return soft_capped(labels, self.causal_lm.config)

    def _head(self, states: Tensor) -> Tensor:
        logits: Tensor = self.causal_lm.get_submodule("lm_head")(states)
        return soft_capped(logits, self.causal_lm.config)
