"""The choice of tokens, and their log-probabilities where they are very sure or not finite."""

import copy
import math

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.engines.decoding import choose
from raycalib.lm.engines.requests import NOT_FINITE, GenerationRequest
from raycalib.lm.engines.transformers_engine import GreedyGenerator
from raycalib.prompts import choice_context, open_ended_context

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]


def test_the_likeliest_token_with_its_log_probability_and_margin() -> None:
    choice = choose(torch.tensor([[0.0, 2.0, 1.0], [3.0, 3.0, 0.0]]))
    assert choice.ids == [1, 0]
    expected = [2 - math.log(1 + math.e + math.e**2), 3 - math.log(1 + 2 * math.e**3)]
    assert choice.gains == pytest.approx(expected, abs=1e-6)
    assert choice.margins == pytest.approx([1.0, 0.0])


def test_very_sure_tokens_are_not_tied() -> None:
    leads = [10.0, 16.0, 17.0, 20.0, 30.0, 60.0, 100.0]  # in float32, 1 + e^-17 is 1
    gains = choose(torch.tensor([[20.0, 20.0 - lead] for lead in leads])).gains
    assert gains == sorted(set(gains))
    assert gains == pytest.approx([-math.log1p(math.exp(-lead)) for lead in leads], rel=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_have_no_log_probability(value: float) -> None:
    broken, whole = choose(torch.tensor([[0.0, value, 1.0], [0.0, 1.0, -math.inf]])).gains
    assert math.isnan(broken)
    assert whole == pytest.approx(-math.log1p(math.exp(-1)), abs=1e-6)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_text_whose_logits_are_not_finite_fails_alone(tiny_llama: TinyLlama, value: float) -> None:
    tokenizer = tiny_llama[1]
    questions = [open_ended_context(f"What is the capital of {place}?") for place in ("France", "Peru", "Japan")]
    questions += [choice_context(question, ["x", "y"]) for question in questions]
    requests = [GenerationRequest(f"{text}\nAnswer:", 2 * (index > 2)) for index, text in enumerate(questions)]
    expected = GreedyGenerator(*tiny_llama, max_new_tokens=4).generate(requests)
    model = copy.deepcopy(tiny_llama[0])
    ids = [set(tokenizer(request.text)["input_ids"]) for request in requests]
    of_peru = (ids[1] & ids[4]) - ids[0] - ids[2] - ids[3] - ids[5]
    with torch.no_grad():
        model.model.embed_tokens.weight[min(of_peru)] = value
    found = GreedyGenerator(model, tokenizer, max_new_tokens=4).generate(requests)
    assert [one.error for one in found] == [None, NOT_FINITE, None, None, NOT_FINITE, None]
    assert all(found[index].finish_reason == "error" and found[index].log_likelihood is None for index in (1, 4))
    assert [found[index].output for index in (0, 2, 3, 5)] == [expected[index].output for index in (0, 2, 3, 5)]
