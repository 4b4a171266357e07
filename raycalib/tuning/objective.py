"""One module that computes the whole tuning loss in its ``forward``, in one pass over shared-prefix rows."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from raycalib.lm.logits import decoder_of, head_of, logit_rule, model_logits
from raycalib.lm.packed import LastLayerReads, RowDropouts, no_mask, use_packed_attention
from raycalib.tuning.batches import TuningBatch
from raycalib.tuning.losses import query_losses, token_divergences
from raycalib.tuning.settings import KlKind

Found = Literal[
    "query_logits", "kl_states", "read_states", "plain_states", "plain_query_logits", "plain_logits", "own_logits"
]
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
        ModelError: the model's attention cannot be replaced, or it has no head to be told from its decoder.
    """

    label_weight: Tensor | None
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
        self.label_tokens = list(label_tokens)
        self.reads = LastLayerReads(decoder_of(causal_lm))
        self.dropouts = RowDropouts(causal_lm)
        # Rows of their own, in float32: see label_logits; and ZeRO-3 keeps the head's weight elsewhere between passes.
        # A head that is adapted or quantized does more than its weight says.
        lm_head, chosen = head_of(causal_lm), self.label_tokens
        is_plain, bias = type(lm_head) is nn.Linear, getattr(lm_head, "bias", None)
        rows = lm_head.weight[chosen].detach().float() if is_plain else None
        self.register_buffer("label_weight", rows, persistent=False)
        bias_rows = None if bias is None or not is_plain else bias[chosen].detach().float()
        self.register_buffer("label_bias", bias_rows, persistent=False)

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
                at all positions that the loss reads. Of a batch of one text by a plain pass, as yardsticks:
                ``plain_states``, the same; ``plain_query_logits`` and ``plain_logits``, (B, 2) and (R, V), made of them
                as the loss makes its; and ``own_logits``, (R, V) of the model's own forward.
        """
        if wanted == "own_logits":
            own: Tensor = self.causal_lm(input_ids=batch.input_ids, use_cache=False).logits
            return own[0].index_select(0, batch.read)
        if wanted == "plain_states" or wanted == "plain_query_logits" or wanted == "plain_logits":
            return self._plain(batch, wanted)
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
                base = model_logits(self.causal_lm, base_states.to(states.dtype))
            tuned = model_logits(self.causal_lm, states[batch.kl_at])
            divergence = token_divergences(tuned, base, self.kl_kind).sum()
        return LossParts(query + self.kl_decay * divergence, query, divergence, batch.n_rows)

    def read_states(self, batch: TuningBatch) -> Tensor:
        """(R, H) final hidden states, after the last norm, at the positions that the loss reads."""
        self.reads.narrow(batch.read, batch.n_tokens)
        self.dropouts.seeds = batch.seeds
        self.dropouts.lengths = ([row.length for row in batch.rows], batch.n_read)
        decoder = decoder_of(self.causal_lm)
        states: Tensor = decoder(
            input_ids=batch.input_ids,
            attention_mask=no_mask(batch.input_ids.device),
            position_ids=batch.position_ids,
            use_cache=False,
            packed_rows=batch.rows,
        ).last_hidden_state
        if not (
            getattr(decoder, "gradient_checkpointing", False) and self.training
        ):  # else layers are computed again on the way back
            self.reads.widen()
        return states[0].index_select(0, batch.read)

    def _plain(self, batch: TuningBatch, wanted: Found) -> Tensor:
        decoder = decoder_of(self.causal_lm)
        states: Tensor = decoder(input_ids=batch.input_ids, use_cache=False).last_hidden_state
        states = states[0].index_select(0, batch.read)
        if wanted == "plain_states":
            return states
        return model_logits(self.causal_lm, states) if wanted == "plain_logits" else self._label_logits(states)

    def _label_logits(self, states: Tensor) -> Tensor:
        if self.head is not None:
            logits: Tensor = self.head(states.float())
            return logits
        if self.label_weight is None:
            return model_logits(self.causal_lm, states)[:, self.label_tokens].float()
        labels = functional.linear(states.float(), self.label_weight, self.label_bias)
        return logit_rule(self.causal_lm).apply(labels)
