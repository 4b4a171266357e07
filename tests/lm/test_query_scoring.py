import copy
import random

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from raycalib.lm.engines.memory import TOO_LARGE
from raycalib.lm.query_scoring import NOT_FINITE, QueryScorer
from raycalib.prompts import open_ended_context, query_text

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
ANSWERS = ["Paris", "", "a rather long answer: of several words", "Rome", "4", "x"]
TEXTS = [
    f"{open_ended_context(f'What is the capital of {place}?')}\nAnswer:"
    for place in ("France", "Peru", "x", "a country far away", "Japan", "Italy")
]


def merging_tokenizer() -> PreTrainedTokenizerFast:
    """Characters, with the answer's last letter and the line break after it as one token."""
    texts = [query_text(text, answer) for text, answer in zip(TEXTS, ANSWERS, strict=True)]
    characters = sorted(set("".join(texts) + "abcdefghij"))
    merges = [(" ", "i"), (" i", "i"), ("s", "\n"), ("4", "\n"), *((" ", letter) for letter in "abcdefghj")]
    vocab = {token: index for index, token in enumerate([*characters, *("".join(pair) for pair in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False)


@torch.no_grad()
def check_against_plain_passes(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, no: str, yes: str, budget: int = 4096
) -> None:
    scores = QueryScorer(model, tokenizer, budget).score(TEXTS, ANSWERS)
    labels = tokenizer.convert_tokens_to_ids([no, yes])
    assert (scores.logits.dtype, scores.states.dtype) == (np.float64, np.float32)
    for row, (text, answer) in enumerate(zip(TEXTS, ANSWERS, strict=True)):
        query = torch.tensor([tokenizer(query_text(text, answer))["input_ids"]])
        np.testing.assert_allclose(scores.logits[row], model(query).logits[0, -1, labels].numpy(), atol=1e-5)
        answered = torch.tensor([tokenizer(f"{text} {answer}".strip())["input_ids"]])
        state = model(answered, output_hidden_states=True).hidden_states[-1][0, -1]
        np.testing.assert_allclose(scores.states[row], state.numpy(), atol=1e-5)


@pytest.mark.parametrize("budget", [1, 150, 4096])
def test_equals_a_plain_pass_per_row(tiny_llama: TinyLlama, budget: int) -> None:
    check_against_plain_passes(*tiny_llama, "▁i", "▁ii", budget)


def test_equals_plain_passes_where_the_answer_merges_with_the_query(tiny_llama: TinyLlama) -> None:
    tokenizer = merging_tokenizer()
    query = tokenizer(query_text(TEXTS[0], ANSWERS[0]))["input_ids"]
    answered = tokenizer(f"{TEXTS[0]} {ANSWERS[0]}")["input_ids"]
    assert query[: len(answered)] != answered
    check_against_plain_passes(tiny_llama[0], tokenizer, " i", " ii")


def test_logits_that_a_model_bounds_are_bounded_here(tiny_llama: TinyLlama) -> None:
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=len(tiny_llama[1]),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        final_logit_softcapping=0.3,
        attn_implementation="eager",
    )
    model = Gemma2ForCausalLM(config).eval()
    check_against_plain_passes(model, tiny_llama[1], "▁i", "▁ii")
    logits = QueryScorer(model, tiny_llama[1]).score(TEXTS, ANSWERS).logits
    assert 0.05 < np.abs(logits).max() < 0.3


def test_rows_keep_their_order(tiny_llama: TinyLlama) -> None:
    scorer = QueryScorer(*tiny_llama)
    scores = scorer.score(TEXTS, ANSWERS)
    order = random.Random(1).sample(range(len(TEXTS)), len(TEXTS))
    shuffled = scorer.score([TEXTS[index] for index in order], [ANSWERS[index] for index in order])
    np.testing.assert_allclose(shuffled.logits, scores.logits[order], atol=1e-5)
    np.testing.assert_allclose(shuffled.states, scores.states[order], atol=1e-5)


def test_no_rows(tiny_llama: TinyLlama) -> None:
    scores = QueryScorer(*tiny_llama).score([], [])
    assert scores.logits.shape == (0, 2)
    assert scores.states.shape == (0, tiny_llama[0].config.hidden_size)


def test_texts_and_answers_must_pair(tiny_llama: TinyLlama) -> None:
    with pytest.raises(ValueError, match="zip"):
        QueryScorer(*tiny_llama).score(TEXTS, ANSWERS[:-1])


def test_where_memory_runs_out_batches_shrink_and_results_are_the_same(
    tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = QueryScorer(*tiny_llama)
    whole = scorer.score(TEXTS, ANSWERS)
    forward = tiny_llama[0].model.forward

    def small(input_ids: torch.Tensor, **named: object) -> object:
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(input_ids=input_ids, **named)

    monkeypatch.setattr(tiny_llama[0].model, "forward", small)
    parts = scorer.score(TEXTS, ANSWERS)
    assert scorer.budget.n_halved > 0
    assert parts.errors == whole.errors == [None] * len(TEXTS)
    np.testing.assert_allclose(parts.logits, whole.logits, atol=1e-5)
    np.testing.assert_allclose(parts.states, whole.states, atol=1e-5)
    budget = scorer.budget.tokens
    scorer.score(TEXTS, ANSWERS)
    assert scorer.budget.tokens == budget  # known by now


def test_a_row_that_does_not_fit_alone_costs_itself_alone(
    tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = QueryScorer(*tiny_llama)
    whole = scorer.score(TEXTS, ANSWERS)
    forward = tiny_llama[0].model.forward
    longest = max(
        range(len(TEXTS)), key=lambda index: len(tiny_llama[1](query_text(TEXTS[index], ANSWERS[index]))["input_ids"])
    )
    most = len(tiny_llama[1](query_text(TEXTS[longest], ANSWERS[longest]))["input_ids"]) - 1

    def small(input_ids: torch.Tensor, **named: object) -> object:
        if input_ids.shape[1] > most:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes")
        return forward(input_ids=input_ids, **named)

    monkeypatch.setattr(tiny_llama[0].model, "forward", small)
    scores = scorer.score(TEXTS, ANSWERS)
    assert [index for index, error in enumerate(scores.errors) if error] == [longest]
    assert scores.errors[longest] == TOO_LARGE
    others = [index for index in range(len(TEXTS)) if index != longest]
    np.testing.assert_allclose(scores.logits[others], whole.logits[others], atol=1e-5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_row_whose_logits_are_not_finite_costs_itself_alone(tiny_llama: TinyLlama, value: float) -> None:
    whole = QueryScorer(*tiny_llama).score(TEXTS, ANSWERS)
    model = copy.deepcopy(tiny_llama[0])
    scorer = QueryScorer(model, tiny_llama[1])
    ids = [
        set(tiny_llama[1](query_text(text, answer))["input_ids"]) for text, answer in zip(TEXTS, ANSWERS, strict=True)
    ]
    alone = sorted(ids[3] - set().union(*ids[:3], *ids[4:]))
    with torch.no_grad():
        model.model.embed_tokens.weight[alone[0]] = value
    scores = scorer.score(TEXTS, ANSWERS)
    assert scores.errors == [None, None, None, NOT_FINITE, None, None]
    assert np.isnan(scores.logits[3]).all()
    assert np.isnan(scores.states[3]).all()
    others = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(scores.logits[others], whole.logits[others], atol=1e-5)
