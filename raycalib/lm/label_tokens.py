"""Which token a model would emit for a label, found by asking its tokenizer for the continuation of a real prompt."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from raycalib.errors import ModelError
from raycalib.prompts import NO_LABEL, YES_LABEL, query_text


def common_prefix_length(left: Sequence[int], right: Sequence[int]) -> int:
    """How many leading ids two sequences share.

    >>> common_prefix_length([1, 5, 7], [1, 5, 9, 7])
    2
    """
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return length


def continuation_token(tokenizer: PreTrainedTokenizerBase, prompt: str, label: str) -> int:
    """The first token in which ``prompt + " " + label`` differs from ``prompt``.

    Right with and without a BOS and for byte-level and sentencepiece vocabularies, since both texts are tokenized
    whole.

    Raises:
        ModelError: the label adds no token of its own.
    """
    before = tokenizer(prompt)["input_ids"]
    after = tokenizer(f"{prompt} {label}")["input_ids"]
    shared = common_prefix_length(before, after)
    if shared < len(before) or shared == len(after):
        raise ModelError(
            f"the tokenizer {type(tokenizer).__name__} merges the label {label!r} into the prompt "
            f"{prompt[-20:]!r}; raycalib needs labels that start a token of their own"
        )
    return int(after[shared])


def query_label_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """The tokens of ``i`` (no) and ``ii`` (yes) after the uncertainty query.

    Raises:
        ModelError: the two labels start with the same token.
    """
    prompt = query_text("Question: 2 + 2?\nAnswer:", "4")
    no, yes = (continuation_token(tokenizer, prompt, label) for label in (NO_LABEL, YES_LABEL))
    if no == yes:
        raise ModelError(f"the labels {NO_LABEL!r} and {YES_LABEL!r} start with the same token {no}")
    return no, yes


def label_logits(head: nn.Module, states: Tensor, tokens: Sequence[int]) -> Tensor:
    """(B, len(tokens)) float32 logits of a few tokens from (B, H) final states.

    Multiplied in float32: a bfloat16 head would round logits of 16 to 32 to steps of 0.125 and tie confidences.
    """
    weight, bias = head.weight, getattr(head, "bias", None)
    chosen = list(tokens)
    return functional.linear(states.float(), weight[chosen].float(), None if bias is None else bias[chosen].float())


def soft_capped(logits: Tensor, config: PreTrainedConfig) -> Tensor:
    """The logits as the model itself would give them: some bound theirs (``final_logit_softcapping``, as Gemma 2)."""
    cap = getattr(config.get_text_config(), "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits


def letter_tokens(tokenizer: PreTrainedTokenizerBase, letters: Sequence[str]) -> list[int]:
    """The tokens of option letters after ``Answer:``.

    Raises:
        ModelError: two letters start with the same token.
    """
    tokens = [continuation_token(tokenizer, "Question:\n2 + 2?\nAnswer:", letter) for letter in letters]
    if len(set(tokens)) < len(tokens):
        raise ModelError(f"the option letters {', '.join(letters)} do not all start with tokens of their own: {tokens}")
    return tokens
