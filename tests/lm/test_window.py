from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.lm.generation import GenerationRequest, GreedyGenerator
from raycalib.lm.query_scoring import QueryScorer
from raycalib.lm.window import context_window, fit_left
from raycalib.prompts import choice_context, open_ended_context, query_text
from tests.lm.test_query_scoring import merging_tokenizer

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
QUESTION = open_ended_context(f"What is {'x and ' * 30}the capital of France?")
TEXT = f"{QUESTION}\nAnswer:"


@pytest.mark.parametrize(
    ("positions", "asked", "window"), [(512, None, 512), (512, 100, 100), (512, 4096, 512), (None, 7, 7)]
)
def test_the_window_is_the_smaller_of_what_the_model_has_and_what_is_asked(
    positions: int | None, asked: int | None, window: int
) -> None:
    text_config = SimpleNamespace(max_position_embeddings=positions)
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text_config))
    assert context_window(model, asked) == window  # type: ignore[arg-type]
    text_config.max_position_embeddings = None
    assert context_window(model) is None  # type: ignore[arg-type]


def test_nothing_is_cut_where_the_text_fits(tiny_llama: TinyLlama) -> None:
    ids = tiny_llama[1](TEXT)["input_ids"]
    for most in (None, len(ids), len(ids) + 1):
        assert fit_left(tiny_llama[1], TEXT, "\nAnswer:", most) == (ids, 0)


def test_what_is_cut_stands_directly_behind_the_bos(tiny_llama: TinyLlama) -> None:
    tokenizer = tiny_llama[1]
    ids = tokenizer(TEXT)["input_ids"]
    before = len(tokenizer(QUESTION)["input_ids"])
    for n_cut in (1, 20, before - 1):  # the last: the whole question
        fitted = fit_left(tokenizer, TEXT, "\nAnswer:", len(ids) - n_cut)
        assert fitted == ([tokenizer.bos_token_id, *ids[1 + n_cut :]], n_cut)
        assert tokenizer.decode(fitted.ids).endswith("\nAnswer:")
    with pytest.raises(ValueError, match=f"takes {len(ids) - before + 1} tokens alone, and {len(ids) - before} fit"):
        fit_left(tokenizer, TEXT, "\nAnswer:", len(ids) - before)


def test_a_tokenizer_without_bos_loses_the_first_tokens() -> None:
    tokenizer = merging_tokenizer()
    text = "What is the capital of France?\nAnswer:"
    ids = tokenizer(text)["input_ids"]
    assert fit_left(tokenizer, text, "\nAnswer:", len(ids) - 3) == (ids[3:], 3)


def test_a_text_that_is_cut_must_end_as_said(tiny_llama: TinyLlama) -> None:
    with pytest.raises(ValueError, match="in place of"):
        fit_left(tiny_llama[1], TEXT, "\nEnding:", 20)


@torch.no_grad()
def test_a_long_text_is_answered_as_what_is_left_of_it(tiny_llama: TinyLlama) -> None:
    model, tokenizer = tiny_llama
    ids = tokenizer(TEXT)["input_ids"]
    choice = f"{choice_context('x ' * 60 + '?', ['Paris', 'Rome'])}\nAnswer:"
    fitting = f"{open_ended_context('x?')}\nAnswer:"
    generator = GreedyGenerator(model, tokenizer, max_new_tokens=5, max_tokens=60)
    long, short, lettered = generator.generate(
        [
            GenerationRequest(TEXT, kept="\nAnswer:"),
            GenerationRequest(fitting),
            GenerationRequest(choice, 2, "\nAnswer:"),
        ]
    )
    left = [ids[0], *ids[-54:]]  # 60 = 55 read + 5 generated
    expected = model.generate(torch.tensor([left]), max_new_tokens=5, do_sample=False)[0, 55:]
    assert long.output
    assert tokenizer.decode(expected, skip_special_tokens=True).startswith(long.output)
    assert (long.n_cut, short.n_cut) == (len(ids) - 55, 0)
    assert lettered.n_cut == len(tokenizer(choice)["input_ids"]) - 59  # one token is read


@torch.no_grad()
@pytest.mark.parametrize("answer", ["Paris", ""])
def test_a_long_query_is_scored_as_what_is_left_of_it(tiny_llama: TinyLlama, answer: str) -> None:
    model, tokenizer = tiny_llama
    ids = tokenizer(query_text(TEXT, answer))["input_ids"]
    n_answered = len(tokenizer(f"{TEXT} {answer}".strip())["input_ids"])
    most = len(ids) - 40
    scores = QueryScorer(model, tokenizer, max_tokens=most).score([TEXT, "Answer:"], [answer, "x"])
    assert scores.n_cut == [40, 0]
    left = torch.tensor([[ids[0], *ids[41:]]])
    labels = tokenizer.convert_tokens_to_ids(["▁i", "▁ii"])
    out = model(left, output_hidden_states=True)
    np.testing.assert_allclose(scores.logits[0], out.logits[0, -1, labels].numpy(), atol=1e-5)
    np.testing.assert_allclose(scores.states[0], out.hidden_states[-1][0, n_answered - 41].numpy(), atol=1e-5)


def test_a_query_that_cannot_fit_is_an_error_of_its_row(tiny_llama: TinyLlama) -> None:
    scores = QueryScorer(*tiny_llama, max_tokens=40).score([TEXT, "x\nAnswer:"], ["Paris and Rome " * 9, "y"])
    assert scores.errors[0] is not None
    assert scores.errors[0].startswith("ValueError: too long: what follows the question takes")
    assert scores.errors[1] is None
    assert np.isnan(scores.logits[0]).all()
    assert np.isfinite(scores.logits[1]).all()
