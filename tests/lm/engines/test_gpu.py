"""The same on a GPU: batches do not change float32 answers, and running out of memory halves the budget."""

import copy

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.generation import GenerationRequest, GreedyGenerator
from raycalib.prompts import open_ended_context

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]


def requests() -> list[GenerationRequest]:
    return [GenerationRequest(f"{open_ended_context('Peru ' * n)}\nAnswer:", n % 3) for n in range(1, 40)]


def test_alone_or_in_a_batch(tiny_llama: TinyLlama) -> None:
    model, tokenizer = copy.deepcopy(tiny_llama[0]).cuda(), tiny_llama[1]
    together = GreedyGenerator(model, tokenizer, 8).generate(requests())
    alone = [GreedyGenerator(model, tokenizer, 8).generate([request])[0] for request in requests()]
    for one, other in zip(alone, together, strict=True):
        assert one.output == other.output or (one.min_margin is not None and one.min_margin < 1e-4)


def test_memory_that_runs_out_halves_the_budget(tiny_llama: TinyLlama) -> None:
    model, tokenizer = copy.deepcopy(tiny_llama[0]).cuda(), tiny_llama[1]
    calm = GreedyGenerator(model, tokenizer, 8).generate(requests())
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 24 * 2**20) / total)
    try:
        generator = GreedyGenerator(model, tokenizer, 8, max_batch_tokens=2**20)
        done = generator.generate(requests() * 60)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert generator.budget.n_halved > 0
    assert [one.output for one in done] == [one.output for one in calm] * 60
