"""Query logits of many architectures against their own forward passes."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.logits import LogitRule, logit_rule, state_size, states_at
from raycalib.lm.logits_check import can_read_alone, check_query_logits
from raycalib.lm.query_scoring import QueryScorer
from raycalib.prompts import query_text
from tests.lm.architectures import CONFIGS, tiny_gemma3_with_images, tiny_model

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
TEXTS = ["Question: What is the capital of France?\nAnswer:", "Question: x\nAnswer:", "Question: Japan?\nAnswer:"]
ANSWERS = ["Paris", "a long answer: of several words", ""]
every = pytest.mark.parametrize("name", CONFIGS)


@torch.no_grad()
def own_logits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """(N, 2) by one plain forward per query."""
    labels = list(query_label_tokens(tokenizer))
    queries = [query_text(text, answer) for text, answer in zip(TEXTS, ANSWERS, strict=True)]
    ids = [torch.tensor([tokenizer(query)["input_ids"]]) for query in queries]
    return torch.stack([model(input_ids=row).logits[0, -1, labels].float() for row in ids])


@every
def test_query_logits_are_those_of_the_models_own_forward(name: str, tiny_llama: TinyLlama) -> None:
    tokenizer = tiny_llama[1]
    model = tiny_model(name, len(tokenizer))
    own = own_logits(model, tokenizer).numpy()
    scores = QueryScorer(model, tokenizer).score(TEXTS, ANSWERS)
    assert np.abs(own[:, 1] - own[:, 0]).min() > 1e-3  # else the comparison says little
    np.testing.assert_allclose(scores.logits, own, rtol=1e-4, atol=1e-5)
    assert scores.errors == [None] * len(TEXTS)
    assert scores.states.shape == (len(TEXTS), 32 if name == "opt" else 64)


@pytest.mark.parametrize("name", ["granite", "cohere", "gemma2", "llama"])
def test_in_bfloat16_they_are_the_same_within_rounding(name: str, tiny_llama: TinyLlama) -> None:
    tokenizer = tiny_llama[1]
    model = tiny_model(name, len(tokenizer)).to(torch.bfloat16)
    own = own_logits(model, tokenizer).numpy()
    scores = QueryScorer(model, tokenizer).score(TEXTS, ANSWERS)
    np.testing.assert_allclose(scores.logits, own, atol=0.1 * np.abs(own).max())


@pytest.mark.parametrize("name", ["granite", "cohere", "hyperclovax", "gemma2"])
def test_a_rule_that_is_not_known_is_refused_before_the_first_row(
    name: str, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raycalib.lm.logits.logit_rule", lambda model: LogitRule())
    with pytest.raises(ModelError, match=r"makes its logits of hidden states in a way that raycalib does not know"):
        QueryScorer(tiny_model(name, len(tiny_llama[1])), tiny_llama[1])


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_right_models_pass_in_every_dtype(name: str, dtype: torch.dtype, tiny_llama: TinyLlama) -> None:
    check_query_logits(tiny_model(name, len(tiny_llama[1])).to(dtype), tiny_llama[1])


@pytest.mark.parametrize("name", ["granite", "cohere", "hyperclovax", "gemma2"])
def test_a_rule_that_is_not_known_is_seen_by_all_logits_where_the_labels_are_near_zero(
    name: str, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16, whose rounding would hide it in the two labels' logits alone."""
    tokenizer = tiny_llama[1]
    model = tiny_model(name, len(tokenizer)).to(torch.bfloat16)
    with torch.no_grad():
        head = model.get_output_embeddings()
        head.weight = torch.nn.Parameter(head.weight.detach().clone())  # the embedding may be tied to it
        head.weight[list(query_label_tokens(tokenizer))] *= 1e-3
    check_query_logits(model, tokenizer)
    monkeypatch.setattr("raycalib.lm.logits.logit_rule", lambda model: LogitRule())
    with pytest.raises(ModelError, match=r"makes its logits of hidden states in a way that raycalib does not know"):
        check_query_logits(model, tokenizer)


def test_logits_that_are_not_finite_on_a_plain_query_are_refused(tiny_llama: TinyLlama) -> None:
    model = copy.deepcopy(tiny_llama[0])
    with torch.no_grad():
        model.lm_head.weight[query_label_tokens(tiny_llama[1])[0]] = torch.inf
    with pytest.raises(ModelError, match=r"LlamaForCausalLM for a plain query are not finite"):
        check_query_logits(model, tiny_llama[1])


def test_a_model_without_a_head_is_refused_with_the_cause(tiny_llama: TinyLlama) -> None:
    with pytest.raises(ModelError, match=r"LlamaModel does not tell its decoder from its language-model head"):
        QueryScorer(tiny_llama[0].model, tiny_llama[1])


def test_a_head_with_an_adapter_of_its_own_is_read_as_it_is(tiny_llama: TinyLlama) -> None:
    from peft import LoraConfig, get_peft_model

    model = copy.deepcopy(tiny_llama[0])
    plain = own_logits(model, tiny_llama[1])
    adapted = get_peft_model(model, LoraConfig(target_modules=["lm_head"], r=2)).eval()
    with torch.no_grad():
        for part_name, part in adapted.named_parameters():
            if "lora_B" in part_name:
                part.fill_(0.5)
    own = own_logits(model, tiny_llama[1])
    assert float((own - plain).abs().max()) > 0.01
    found = QueryScorer(model, tiny_llama[1]).score(TEXTS, ANSWERS).logits
    np.testing.assert_allclose(found, own.numpy(), rtol=1e-4, atol=1e-5)


def test_rules_by_configuration(tiny_llama: TinyLlama) -> None:
    rules = {name: logit_rule(tiny_model(name, 16)) for name in ("llama", "granite", "cohere", "hyperclovax", "gemma2")}
    assert rules == {
        "llama": LogitRule(),
        "granite": LogitRule(1 / 8),
        "cohere": LogitRule(0.0625),
        "hyperclovax": LogitRule(4.0),
        "gemma2": LogitRule(1.0, 2.0),
    }
    assert state_size(tiny_llama[0]) == tiny_llama[0].config.hidden_size


def test_a_cap_bounds_what_was_scaled() -> None:
    found = LogitRule(0.5, 2.0).apply(torch.tensor([4.0, -400.0]))
    torch.testing.assert_close(found, torch.tensor([2 * np.tanh(1.0), -2.0], dtype=torch.float32))


ROWS = [[1, *range(20, 60)], [1, 30], [1, *range(40, 65)], [1, *range(10, 50)]]
PLACES = [(40, 12), (1, 0), (25, 24), (7, 40)]
WHOLE = {"falcon", "gpt2", "gpt_neox", "opt", "gemma3_with_images"}
"""Whose last layer is not built as Llama's, or lies deeper: it is computed whole."""


@pytest.mark.parametrize("name", [*CONFIGS, "gemma3_with_images"])
@torch.no_grad()
def test_states_of_a_narrowed_last_layer_are_those_of_a_whole_one(name: str, tiny_llama: TinyLlama) -> None:
    n_tokens = len(tiny_llama[1])
    make = tiny_gemma3_with_images if name == "gemma3_with_images" else partial(tiny_model, name)
    model = make(n_tokens)
    seen = set[int]()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, given: seen.add(given[0].shape[1]))
    whole = states_at(model, ROWS, PLACES, 0, is_narrow=False)
    assert len(PLACES[0]) not in seen
    alone = states_at(model, ROWS, PLACES, 0)
    assert (len(PLACES[0]) in seen) == (name not in WHOLE)
    torch.testing.assert_close(alone, whole, rtol=1e-5, atol=1e-5)
    assert can_read_alone(model, tiny_llama[1])


def test_a_layer_whose_queries_look_at_their_neighbours_is_computed_whole(tiny_llama: TinyLlama) -> None:
    class WithNeighbour(nn.Module):
        def __init__(self, projection: nn.Module) -> None:
            super().__init__()
            self.projection = projection

        def forward(self, states: Tensor) -> Tensor:
            return self.projection(states + states.roll(1, dims=1).index_fill(1, torch.tensor([0]), 0))

    model = copy.deepcopy(tiny_llama[0])
    attention = model.model.layers[-1].self_attn
    attention.q_proj = WithNeighbour(attention.q_proj)
    assert not can_read_alone(model, tiny_llama[1])
    found = QueryScorer(model, tiny_llama[1]).score(TEXTS, ANSWERS).logits
    np.testing.assert_allclose(found, own_logits(model, tiny_llama[1]).numpy(), rtol=1e-4, atol=1e-5)
