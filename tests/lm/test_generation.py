import copy
import math
import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.generation import Generation, GenerationRequest, GreedyGenerator, stop_tokens
from raycalib.prompts import choice_context, open_ended_context, sanitize

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
MAX_NEW_TOKENS = 10
PLACES = ["France", "Italy", "x", "Peru and Cuba", "Atlantis, which nobody has ever seen at all", "Japan", "Spain"]
TEXTS = [f"{open_ended_context(f'What is the capital of {place}?')}\nAnswer:" for place in PLACES]
CHOICES = [
    (f"{choice_context(f'What is the capital of {place}?', ['Paris', 'Rome', 'Lima', 'Oslo'][:n])}\nAnswer:", n)
    for place, n in (("France", 4), ("a small country far away", 2), ("Peru", 3))
]


@pytest.fixture(scope="module")
def chatty(tiny_llama: TinyLlama) -> TinyLlama:
    """The tiny model with a stronger wish to end the line, so that rows stop at different steps."""
    model, tokenizer = copy.deepcopy(tiny_llama[0]), tiny_llama[1]
    with torch.no_grad():
        model.lm_head.weight[tokenizer.convert_tokens_to_ids("\n")] *= 3
    return model, tokenizer


def requests() -> list[GenerationRequest]:
    """Open-ended and choice requests mixed."""
    mixed: list[GenerationRequest] = []
    for index, text in enumerate(TEXTS):
        mixed.append(GenerationRequest(text))
        if index < len(CHOICES):
            mixed.append(GenerationRequest(*CHOICES[index]))
    return mixed


def check_same(left: list[Generation], right: list[Generation]) -> None:
    for one, other in zip(left, right, strict=True):
        assert one.output == other.output
        assert (one.n_answer_tokens, one.finish_reason) == (other.n_answer_tokens, other.finish_reason)
        # Sums of ten float32 log-probabilities of size 3 agree to about 1e-5 whatever the padding.
        assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-4)
        assert one.option_log_likelihoods == pytest.approx(other.option_log_likelihoods, abs=1e-4)


def greedy_by_hand(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[list[int], float]:
    """Tokens before the line break that ends the answer, and their teacher-forced log-likelihood; no cache."""
    prompt = tokenizer(text)["input_ids"]
    ids = list(prompt)
    for _ in range(MAX_NEW_TOKENS):
        token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        if "\n" in tokenizer.decode([token]) and sanitize(tokenizer.decode(ids[len(prompt) :])):
            shown = tokenizer.decode(ids[len(prompt) :])
            if not shown.rstrip("\n").endswith(":"):
                break
        ids.append(token)
    answer = ids[len(prompt) :]
    log_probs = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    return answer, sum(float(log_probs[len(prompt) - 1 + place, token]) for place, token in enumerate(answer))


def test_same_alone_batched_shuffled_and_with_other_budgets(chatty: TinyLlama) -> None:
    asked = requests()
    batched = GreedyGenerator(*chatty, MAX_NEW_TOKENS, max_batch_tokens=4096).generate(asked)
    assert len({done.n_answer_tokens for done in batched}) > 2  # else rows stop together and the test is weak
    assert {done.finish_reason for done in batched} == {"stop", "length"}
    generator = GreedyGenerator(*chatty, MAX_NEW_TOKENS, max_batch_tokens=4096)
    check_same([generator.generate([request])[0] for request in asked], batched)
    for budget in (1, 100, 200):
        check_same(GreedyGenerator(*chatty, MAX_NEW_TOKENS, max_batch_tokens=budget).generate(asked), batched)
    order = random.Random(0).sample(range(len(asked)), len(asked))
    check_same(generator.generate([asked[index] for index in order]), [batched[index] for index in order])


@torch.no_grad()
def test_equals_greedy_decoding_by_hand(chatty: TinyLlama) -> None:
    model, tokenizer = chatty
    done = GreedyGenerator(model, tokenizer, MAX_NEW_TOKENS).generate([GenerationRequest(text) for text in TEXTS])
    for text, generation in zip(TEXTS, done, strict=True):
        tokens, log_likelihood = greedy_by_hand(model, tokenizer, text)
        assert generation.n_answer_tokens == len(tokens)
        assert generation.output.startswith(tokenizer.decode(tokens))
        assert generation.log_likelihood == pytest.approx(log_likelihood, abs=1e-4)


@torch.no_grad()
def test_option_log_likelihoods_are_log_softmax_entries(tiny_llama: TinyLlama) -> None:
    model, tokenizer = tiny_llama
    done = GreedyGenerator(model, tokenizer, MAX_NEW_TOKENS).generate([GenerationRequest(*pair) for pair in CHOICES])
    for (text, n_options), generation in zip(CHOICES, done, strict=True):
        log_probs = model(torch.tensor([tokenizer(text)["input_ids"]])).logits[0, -1].log_softmax(dim=-1)
        letters = [tokenizer.convert_tokens_to_ids(f"▁{letter}") for letter in "abcd"[:n_options]]
        assert generation.option_log_likelihoods == pytest.approx(log_probs[letters].tolist(), abs=1e-5)
        assert generation.log_likelihood == pytest.approx(float(log_probs.max()), abs=1e-5)
        assert generation.output == tokenizer.decode([int(log_probs.argmax())])
        assert (generation.n_answer_tokens, generation.finish_reason) == (1, "stop")


class ScriptedModel:
    """Says the given tokens whatever it reads, each with probability p."""

    device = torch.device("cpu")
    config = LlamaConfig()
    base_model = None  # no layers to be narrowed

    def __init__(self, tokens: list[int], vocabulary: int, p: float) -> None:
        self.tokens = tokens
        self.vocabulary = vocabulary
        self.margin = math.log(p / (1 - p)) + math.log(vocabulary - 1)
        self.steps = self.prompt = 0

    def __call__(
        self, input_ids: torch.Tensor, past_key_values: DynamicCache, position_ids: torch.Tensor, **options: Any
    ) -> SimpleNamespace:
        self.prompt = self.prompt or input_ids.shape[1]  # all texts are the same
        step = int(position_ids[0, -1]) + 1 - self.prompt
        logits = torch.zeros(len(input_ids), 1, self.vocabulary)
        logits[..., self.tokens[step]] = self.margin
        states = torch.zeros(len(input_ids), 1, input_ids.shape[1], 1)
        past_key_values.update(states, states, 0)
        self.steps = step + 1
        return SimpleNamespace(logits=logits, past_key_values=past_key_values)


def continuation(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """The tokens of a text that follows ``Answer:``."""
    cue = tokenizer("Answer:")["input_ids"]
    whole: list[int] = tokenizer(f"Answer:{text}")["input_ids"]
    assert whole[: len(cue)] == cue
    return whole[len(cue) :]


def say(tokenizer: PreTrainedTokenizerFast, tokens: list[int], n_rows: int = 1) -> tuple[list[Generation], int]:
    """What is generated when the model says these tokens, and how many steps it took."""
    model = ScriptedModel(tokens, len(tokenizer), p=0.8)
    generator = GreedyGenerator(model, tokenizer, max_new_tokens=len(tokens))  # type: ignore[arg-type]
    return generator.generate([GenerationRequest("Answer:")] * n_rows), model.steps


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (" Paris\nFrance\nx", "Paris\n"),
        (" Paris\n\nx", "Paris\n"),
        ("\n\nParis\nFrance", "\n\nParis\n"),
        ("\n\n\nParis\nFrance", "\n\n\nParis\n"),
        (" \nParis\nFrance", "\nParis\n"),
        (" The answer is:\nParis\nFrance", "The answer is:\nParis\n"),
        (" The answer is:\n\nParis\nFrance", "The answer is:\n\nParis\n"),
        ("a:\nb:\nc\nd", "a:\nb:\nc\n"),
        (" a: b\nc", "a: b\n"),
    ],
)
def test_stops_at_the_first_line_break_that_sanitize_cuts_at(tiny_llama: TinyLlama, said: str, heard: str) -> None:
    _, tokenizer = tiny_llama
    tokens = continuation(tokenizer, said)
    (done,), steps = say(tokenizer, tokens)
    assert done.output.strip(" ") == heard
    assert sanitize(done.output) == sanitize(said)
    assert done.finish_reason == "stop"
    n_heard = next(n for n in range(len(tokens)) if tokenizer.decode(tokens[:n]) == done.output)
    assert steps == n_heard
    assert done.n_answer_tokens == n_heard - 1
    assert done.log_likelihood == pytest.approx((n_heard - 1) * math.log(0.8), rel=1e-5)


@pytest.mark.parametrize("said", [" Paris", " The answer is:\n", "\n\n\n"])
def test_without_a_line_break_that_ends_the_answer_the_length_does(tiny_llama: TinyLlama, said: str) -> None:
    _, tokenizer = tiny_llama
    tokens = continuation(tokenizer, said)
    (done,), _ = say(tokenizer, tokens)
    assert done.output == tokenizer.decode(tokens)
    assert (done.finish_reason, done.n_answer_tokens) == ("length", len(tokens))
    assert done.log_likelihood == pytest.approx(len(tokens) * math.log(0.8), rel=1e-5)


def test_the_end_of_text_stops_and_is_not_part_of_the_answer(tiny_llama: TinyLlama) -> None:
    _, tokenizer = tiny_llama
    tokens = continuation(tokenizer, " Paris")
    for rest in ([tokenizer.eos_token_id], [tokenizer.eos_token_id, *tokens]):
        (done,), steps = say(tokenizer, tokens + rest)
        assert (done.output, done.finish_reason, done.n_answer_tokens) == ("Paris", "stop", len(tokens))
        assert steps == len(tokens) + 1
        assert done.log_likelihood == pytest.approx(len(tokens) * math.log(0.8), rel=1e-5)


def test_every_end_that_the_model_names_stops(tiny_llama: TinyLlama) -> None:
    model, tokenizer = copy.deepcopy(tiny_llama[0]), tiny_llama[1]
    model.generation_config.eos_token_id = [7, 8]
    assert stop_tokens(model, tokenizer) == {7, 8, tokenizer.eos_token_id}
    model.generation_config.eos_token_id = 7
    assert stop_tokens(model, tokenizer) == {7, tokenizer.eos_token_id}
    with torch.no_grad():
        first = model(torch.tensor([tokenizer("Answer:")["input_ids"]])).logits[0, -1].argmax()
    model.generation_config.eos_token_id = [int(first)]
    (done,) = GreedyGenerator(model, tokenizer, MAX_NEW_TOKENS).generate([GenerationRequest("Answer:")])
    assert (done.output, done.n_answer_tokens, done.finish_reason) == ("", 0, "stop")


def test_an_empty_answer(tiny_llama: TinyLlama) -> None:
    _, tokenizer = tiny_llama
    (done,), _ = say(tokenizer, [tokenizer.eos_token_id])
    assert (done.output, done.n_answer_tokens) == ("", 0)
    # The end itself had probability 0.8: saying nothing is not certain.
    assert done.log_likelihood == pytest.approx(math.log(0.8), rel=1e-5)


def test_stops_once_all_rows_have_stopped(tiny_llama: TinyLlama) -> None:
    _, tokenizer = tiny_llama
    done, steps = say(tokenizer, continuation(tokenizer, " Paris\nFrance and more"), n_rows=3)
    assert [generation.output for generation in done] == ["Paris\n"] * 3
    assert steps == len(continuation(tokenizer, " Paris\n"))


def test_no_requests(tiny_llama: TinyLlama) -> None:
    assert GreedyGenerator(*tiny_llama, MAX_NEW_TOKENS).generate([]) == []


def test_options_beyond_the_letters_of_the_vocabulary_are_an_error(tiny_llama: TinyLlama) -> None:
    generator = GreedyGenerator(*tiny_llama, MAX_NEW_TOKENS)
    (done,) = generator.generate([GenerationRequest(CHOICES[0][0], 10)])
    assert len(done.option_log_likelihoods) == 10
    with pytest.raises(ModelError, match="do not all start with tokens of their own"):
        generator.generate([GenerationRequest(CHOICES[0][0], 12)])  # k and l are no tokens of this vocabulary
