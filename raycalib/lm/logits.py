"""From final hidden states to logits, as the model itself computes them."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from raycalib.errors import ModelError
from raycalib.lm.batching import pad_right
from raycalib.lm.packed import reading_alone

LOGITS_VERSION = "own-1"
"""Of how logits and likelihoods are computed; part of what tells stored ones from others."""

LETTERS_VERSION = "float32"
"""The same of the options' letters, in which models of 16 bits differ from before."""

MULTIPLIERS = ("logit_scale", "lm_head_multiplier", "output_multiplier")
"""Of a configuration: what logits are multiplied by (Cohere, Falcon-H1, Muse)."""
DIVISORS = ("logits_scaling", "logits_mup_width_multiplier")
"""What they, or the states before the head, are divided by (Granite, MiniCPM 3, Inkling)."""
MULTIPLIES_BY_SCALING = frozenset({"hyperclovax"})
"""Values of ``model_type`` that multiply by what others of that name divide by."""
CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
"""What logits are bounded by, after they are scaled (Gemma 2, RecurrentGemma, xLSTM)."""


@dataclass(frozen=True)
class LogitRule:
    """What a model does with its head's output: ``cap · tanh(scale · x / cap)``, or ``scale · x`` without a cap."""

    scale: float = 1.0
    cap: float | None = None

    def apply(self, output: Tensor) -> Tensor:
        """Logits from the head's output.

        >>> LogitRule(scale=0.5).apply(torch.tensor([3.0])).item()
        1.5
        """
        scaled = output if self.scale == 1 else output * self.scale
        return torch.tanh(scaled / self.cap) * self.cap if self.cap else scaled


def logit_rule(model: PreTrainedModel) -> LogitRule:
    """The rule that a model's configuration names; whether that is all it does, ``check_query_logits`` tells."""
    config = model.config.get_text_config()
    scale = 1.0
    for name in MULTIPLIERS:
        scale *= getattr(config, name, None) or 1.0
    for name in DIVISORS:
        found = getattr(config, name, None) or 1.0
        scale *= found if config.model_type in MULTIPLIES_BY_SCALING else 1 / found
    return LogitRule(scale, next((cap for name in CAPS if (cap := getattr(config, name, None))), None))


def decoder_of(model: PreTrainedModel) -> nn.Module:
    """The part that gives the final hidden states, after the last norm, whatever its name is."""
    decoder: nn.Module = model.base_model
    return decoder


def head_of(model: PreTrainedModel) -> nn.Module:
    """The part that makes logits of final hidden states, whatever its name is.

    Raises:
        ModelError: there is none.
    """
    head = model.get_output_embeddings()
    if head is None or decoder_of(model) is model:
        raise ModelError(
            f"model: {type(model).__name__} does not tell its decoder from its language-model head, so its hidden "
            "states and query logits cannot be read; choose a causal language model: Llama, Mistral, Qwen …"
        )
    return head


def state_size(model: PreTrainedModel) -> int:
    """Numbers in a final hidden state: what the head takes, which is not always the layers' size (OPT)."""
    size: int = head_of(model).in_features
    return size


def final_states(model: PreTrainedModel, texts: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """(B, S, H) final hidden states of texts, padded on the right."""
    padded = pad_right(texts, pad_id).to(model.device)
    states: Tensor = decoder_of(model)(input_ids=padded, use_cache=False).last_hidden_state
    return states


def states_at(
    model: PreTrainedModel,
    texts: Sequence[Sequence[int]],
    places: Sequence[Sequence[int]],
    pad_id: int,
    is_narrow: bool = True,
) -> Tensor:
    """(B, R, H) final hidden states of texts, at R places of each.

    Args:
        model: with its layers.
        texts: B of them, as token ids.
        places: R in each text, distinct.
        pad_id: of the padding on the right.
        is_narrow: whether the last layer is computed at these places alone, where it is built as Llama's.
    """
    positions = torch.tensor(places, device=model.device)
    n_tokens = max(map(len, texts))
    with reading_alone(decoder_of(model), positions, n_tokens) if is_narrow else nullcontext():
        states = final_states(model, texts, pad_id)
    return at_places(states, positions)


def at_places(states: Tensor, places: Tensor) -> Tensor:
    """(B, R, …) of (B, S, …), at (B, R) places of each row."""
    return states[torch.arange(len(states), device=states.device)[:, None], places]


def model_logits(model: PreTrainedModel, states: Tensor) -> Tensor:
    """(N, V) logits of (N, H) final states, in the model's dtype."""
    return logit_rule(model).apply(head_of(model)(states))


def label_logits(model: PreTrainedModel, states: Tensor, tokens: Sequence[int]) -> Tensor:
    """(N, len(tokens)) float32 logits of a few tokens from (N, H) final states.

    Multiplied in float32: a bfloat16 head would round logits of 16 to 32 to steps of 0.125 and tie confidences.
    """
    head, chosen = head_of(model), list(tokens)
    if type(head) is not nn.Linear:  # adapted or quantized: what its weight says is not all that it does
        return model_logits(model, states)[:, chosen].float()
    bias = None if head.bias is None else head.bias[chosen].float()
    return logit_rule(model).apply(functional.linear(states.float(), head.weight[chosen].float(), bias))
