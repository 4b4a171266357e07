"""Checks once per load that query logits are those of the model's own forward pass."""

from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raycalib.errors import ModelError
from raycalib.lm.engines.memory import is_out_of_memory
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import pad_token_id
from raycalib.lm.logits import final_states, head_of, label_logits, model_logits, states_at
from raycalib.prompts import query_text

QUERIES = (
    query_text("Question: 2 + 2?\nAnswer:", "4"),
    query_text("Question: What is the capital of France, and of which country is it not?\nAnswer:", "Paris"),
)

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 0.01, torch.bfloat16: 0.03}
"""Largest difference of a logit, as a share of the largest: the model rounds its own to its dtype."""
PADDED_TOLERANCE = TOLERANCE | {torch.float16: 0.05, torch.bfloat16: 0.1}
"""The same in a batch with padding, for which other kernels compute the layers."""

UNREADABLE = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What a model does that is not built as it is read."""


@torch.inference_mode()
def check_query_logits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Compares query logits as ``QueryScorer`` computes them with the model's own, on real queries.

    Raises:
        ModelError: they differ, are not finite, or cannot be had.
    """
    labels = list(query_label_tokens(tokenizer))
    pad_id = pad_token_id(tokenizer)
    texts = [list(tokenizer(query)["input_ids"]) for query in QUERIES]
    head_of(model)  # its own error names what is missing
    try:
        own = [_plain(model, ids) for ids in texts]
        alone = [_rebuilt(model, [ids], pad_id, labels) for ids in texts]
        padded = _rebuilt(model, texts, pad_id, labels)
    except UNREADABLE as error:
        if is_out_of_memory(error):
            raise
        raise cannot_be_read(model, error) from error
    for place, expected in enumerate(own):
        largest = float(expected.abs().max())
        for found, at, allowed in ((alone[place], 0, TOLERANCE), (padded, place, PADDED_TOLERANCE)):
            tolerance = allowed[model.dtype]
            check_logits(model, found.of_labels[at], expected[labels], largest, tolerance)
            check_logits(model, found.of_all[at], expected, largest, tolerance)


@torch.inference_mode()
def can_read_alone(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the last layer gives the same states where it is computed only at those that are read.

    Not so where it has parts of the known names that look at other tokens, as a convolution over queries does.
    """
    texts = [list(tokenizer(query)["input_ids"]) for query in QUERIES]
    places = [(len(ids) - 1, len(ids) // 2) for ids in texts]
    pad_id = pad_token_id(tokenizer)
    try:
        whole, alone = (states_at(model, texts, places, pad_id, is_narrow) for is_narrow in (False, True))
    except UNREADABLE as error:
        if is_out_of_memory(error):
            raise
        return False
    return bool((alone - whole).abs().max() <= TOLERANCE[model.dtype] * whole.abs().max())


def _plain(model: PreTrainedModel, ids: list[int]) -> Tensor:
    """(V,) float32 logits behind one text, by the model's own forward."""
    logits: Tensor = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0, -1]
    return logits.float()


class _Rebuilt(NamedTuple):
    """Of B texts: (B, 2) float32 query logits as they are scored, and (B, V) of all tokens.

    Two logits near zero say little of a rule that scales or bounds them; the largest of all tokens' say most.
    """

    of_labels: Tensor
    of_all: Tensor


def _rebuilt(model: PreTrainedModel, texts: list[list[int]], pad_id: int, labels: list[int]) -> _Rebuilt:
    states = final_states(model, texts, pad_id)[torch.arange(len(texts)), [len(text) - 1 for text in texts]]
    return _Rebuilt(label_logits(model, states, labels), model_logits(model, states))


def check_logits(model: PreTrainedModel, found: Tensor, own: Tensor, largest: float, tolerance: float) -> None:
    """Compares logits with the model's own at the same places.

    Args:
        model: for the error.
        found: as raycalib computes them.
        own: of the model's forward.
        largest: of the model's logits there, in size.
        tolerance: of a difference, as a share of ``largest``.

    Raises:
        ModelError: they differ by more, or are not finite.
    """
    name = type(model).__name__
    if not (bool(torch.isfinite(own).all()) and bool(torch.isfinite(found).all())):
        raise ModelError(
            f"model: the logits of {name} for a plain query are not finite (NaN or infinite); look at its weights, "
            "or use --dtype float32"
        )
    worst = float((found.float() - own.float()).abs().max())
    if not worst <= tolerance * largest:
        raise ModelError(
            f"model: {name} makes its logits of hidden states in a way that raycalib does not know (query logits "
            f"{_shown(found)}, by its own forward {_shown(own)}), so its confidences would be wrong; choose another "
            "model, or report its architecture"
        )


def cannot_be_read(model: PreTrainedModel, error: Exception) -> ModelError:
    """What to raise where a model's parts are not those that are read."""
    cause = (str(error).strip().splitlines() or [""])[0]
    return ModelError(
        f"model: hidden states and query logits of {type(model).__name__} cannot be read: {type(error).__name__}: "
        f"{cause}; choose a decoder with attention alone: Llama, Mistral, Qwen …"
    )


def _shown(logits: Tensor) -> str:
    return " ".join(f"{value:.4g}" for value in logits.flatten()[:2].tolist())
