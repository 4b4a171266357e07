"""The answers do not depend on who else is in the batch, on memory, or on the kind of cache."""

import copy
from functools import partial
from itertools import product
import random
from typing import Any
import weakref

import pytest
import torch
from transformers import (
    FalconH1Config,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from raycalib.lm import batching
from raycalib.lm.engines import decoding, transformers_engine
from raycalib.lm.engines.kv_rows import KvRows, has_simple_cache
from raycalib.lm.engines.memory import TOO_LARGE
from raycalib.lm.generation import Generation, GenerationRequest, GreedyGenerator
from raycalib.lm.label_tokens import letter_tokens
from raycalib.lm.logits import logit_rule
from raycalib.prompts import choice_context, open_ended_context
from tests.lm.architectures import CONFIGS, tiny_gemma3_with_images, tiny_model

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
MAX_NEW_TOKENS = 12
CLOSE = 1e-4


@pytest.fixture(scope="module")
def chatty(tiny_llama: TinyLlama) -> TinyLlama:
    """The tiny model with a stronger wish to end the line, so that rows stop at different steps."""
    model, tokenizer = copy.deepcopy(tiny_llama[0]), tiny_llama[1]
    with torch.no_grad():
        model.lm_head.weight[tokenizer.convert_tokens_to_ids("\n")] *= 3
    return model, tokenizer


def requests(n: int = 40) -> list[GenerationRequest]:
    """Questions of many lengths, every fourth with options."""
    draw = random.Random(5)
    asked = []
    for number in range(n):
        words = " ".join(draw.choices(["France", "Peru", "the", "x", "capital of", "Atlantis?"], k=draw.randint(1, 30)))
        if number % 4:
            asked.append(GenerationRequest(f"{open_ended_context(words)}\nAnswer:"))
        else:
            asked.append(GenerationRequest(f"{choice_context(words, ['Paris', 'Rome', 'Lima'])}\nAnswer:", 3))
    return asked


def differences(left: list[Generation], right: list[Generation]) -> list[Generation]:
    """Generations that differ; their log-likelihoods agree wherever they do not."""
    different = []
    for one, other in zip(left, right, strict=True):
        if (one.output, one.n_answer_tokens, one.finish_reason) != (
            other.output,
            other.n_answer_tokens,
            other.finish_reason,
        ):
            different.append(one)
            continue
        # Sums of twelve float32 log-probabilities of size 3 agree to about 1e-5 whatever the batch.
        assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-4)
        assert one.option_log_likelihoods == pytest.approx(other.option_log_likelihoods, abs=1e-4)
        assert one.min_margin == pytest.approx(other.min_margin, abs=1e-4)
    return different


@pytest.mark.parametrize("seed", range(3))
def test_batch_size_padding_and_order_change_only_answers_that_hang_on_nearly_equal_logits(
    chatty: TinyLlama, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    asked = requests()
    alone = [GreedyGenerator(*chatty, MAX_NEW_TOKENS).generate([request])[0] for request in asked]
    assert {done.finish_reason for done in alone} == {"stop", "length"}
    assert len({done.n_answer_tokens for done in alone}) > 3  # else rows stop together and the test is weak
    draw = random.Random(seed)
    for budget, at_once in product((60, 400, 10_000), (1, 2048)):
        monkeypatch.setattr(batching, "CPU_READ_TOKENS", at_once)  # 1: read alone, unpadded; 2048: padded
        order = draw.sample(range(len(asked)), len(asked))
        generator = GreedyGenerator(*chatty, MAX_NEW_TOKENS, max_batch_tokens=budget)
        together = generator.generate([asked[index] for index in order])
        changed = differences([alone[index] for index in order], together)
        assert all(done.min_margin is not None and done.min_margin < CLOSE for done in changed)
        assert len(changed) <= 1


def test_the_margin_is_the_smallest_distance_of_the_two_best_logits(tiny_llama: TinyLlama) -> None:
    model, tokenizer = tiny_llama
    request = GenerationRequest(f"{open_ended_context('What is the capital of Peru?')}\nAnswer:")
    (done,) = GreedyGenerator(model, tokenizer, 3).generate([request])
    ids, margins = tokenizer(request.text)["input_ids"], []
    with torch.no_grad():
        for _ in range(3):
            best = model(torch.tensor([ids])).logits[0, -1].topk(2)
            margins.append(float(best.values[0] - best.values[1]))
            ids = [*ids, int(best.indices[0])]
    assert done.n_answer_tokens == 3
    assert done.min_margin == pytest.approx(min(margins), abs=1e-5)


def test_counts_are_those_of_a_run_written_out(tiny_llama: TinyLlama) -> None:
    model, tokenizer = tiny_llama
    texts = ["Answer:", "Question: Peru?\nAnswer:"]
    lengths = [len(tokenizer(text)["input_ids"]) for text in texts]
    generator = GreedyGenerator(model, tokenizer, 4)
    generator.generate([GenerationRequest(text) for text in texts])
    assert generator.counts.tokens_read == sum(lengths)
    assert generator.counts.tokens_generated == 2 * 4
    assert generator.counts.padded_positions == max(lengths) - min(lengths)
    earlier = copy.copy(generator.counts)
    generator.generate([GenerationRequest(text, 2) for text in texts])
    new = generator.counts.since(earlier)
    assert (new.tokens_read, new.tokens_generated) == (sum(lengths), 2)
    assert (new.padded_positions, new.memory_retries) == (max(lengths) - min(lengths), 0)


class SmallMemory:
    """A model whose memory holds so many positions, keys and values of earlier steps among them."""

    def __init__(self, model: PreTrainedModel, positions: int, error: Exception) -> None:
        self.model, self.positions, self.error = model, positions, error
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, **inputs: Any) -> Any:
        if inputs["attention_mask"].numel() > self.positions:
            self.refused += 1
            raise self.error
        return self.model(**inputs)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")])
def test_where_memory_runs_out_batches_shrink_for_good_and_the_answers_stay(
    chatty: TinyLlama, error: Exception
) -> None:
    asked = requests()
    calm = GreedyGenerator(*chatty, MAX_NEW_TOKENS, max_batch_tokens=8192).generate(asked)
    model = SmallMemory(chatty[0], 600, error)
    generator = GreedyGenerator(model, chatty[1], MAX_NEW_TOKENS, max_batch_tokens=8192)  # type: ignore[arg-type]
    assert differences(calm, generator.generate(asked)) == []
    assert model.refused == generator.budget.n_halved == generator.counts.memory_retries > 0
    assert generator.budget.tokens == 8192 >> generator.budget.n_halved
    assert generator.budget.tokens < 2 * 600
    refused = model.refused
    assert differences(calm, generator.generate(asked)) == []
    assert model.refused == refused  # the budget stayed small


def test_a_row_that_does_not_fit_alone_becomes_an_error_and_the_others_are_answered(chatty: TinyLlama) -> None:
    asked = requests(12)
    lengths = [len(chatty[1](request.text)["input_ids"]) + MAX_NEW_TOKENS for request in asked]
    cut = sorted(lengths)[-3]
    calm = GreedyGenerator(*chatty, MAX_NEW_TOKENS).generate(asked)
    model = SmallMemory(chatty[0], cut, torch.OutOfMemoryError("CUDA out of memory"))
    done = GreedyGenerator(model, chatty[1], MAX_NEW_TOKENS).generate(asked)  # type: ignore[arg-type]
    failed = [index for index, one in enumerate(done) if one.error]
    assert failed
    assert all(lengths[index] > cut for index in failed)
    assert all(
        (done[i].error, done[i].finish_reason, done[i].log_likelihood) == (TOO_LARGE, "error", None) for i in failed
    )
    kept = [index for index in range(len(asked)) if index not in failed]
    assert differences([calm[index] for index in kept], [done[index] for index in kept]) == []


def test_a_row_that_fits_alone_but_not_beside_the_batch_that_it_leaves_is_answered(
    chatty: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a batch is filled again its keys and values are held twice."""
    by_length: dict[int, list[GenerationRequest]] = {}
    for request in requests(200):
        if not request.n_options:
            by_length.setdefault(len(chatty[1](request.text)["input_ids"]), []).append(request)
    length, asked = max(by_length.items(), key=lambda item: len(item[1]))
    longest = length + MAX_NEW_TOKENS
    calm = GreedyGenerator(*chatty, MAX_NEW_TOKENS).generate(asked)
    held: weakref.WeakSet[KvRows] = weakref.WeakSet()
    refused_alone = []

    class SmallKvRows(KvRows):
        def __init__(self, n_rows: int, end: int, room: int, device: torch.device) -> None:
            super().__init__(n_rows, end, room, device)
            if sum(rows._mask.numel() for rows in held) + self._mask.numel() > 2.4 * longest:
                refused_alone.append(n_rows == 1)
                raise torch.OutOfMemoryError("CUDA out of memory")
            held.add(self)

    monkeypatch.setattr(decoding, "KvRows", SmallKvRows)
    generator = GreedyGenerator(*chatty, MAX_NEW_TOKENS, max_batch_tokens=2 * longest)
    assert differences(calm, generator.generate(asked)) == []
    assert any(refused_alone), "the case did not come up"


@pytest.mark.parametrize("n_options", [0, 3])
def test_another_error_of_the_device_is_raised(chatty: TinyLlama, n_options: int) -> None:
    model = SmallMemory(chatty[0], 1, RuntimeError("CUDA error: device-side assert triggered"))
    generator = GreedyGenerator(model, chatty[1], MAX_NEW_TOKENS)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="device-side assert"):
        generator.generate([GenerationRequest("Question: x?\nAnswer:", n_options)] * 3)
    assert (generator.budget.n_halved, model.refused) == (0, 1)


def test_a_text_at_the_end_of_the_window_and_one_beyond_it(tiny_llama: TinyLlama) -> None:
    model, tokenizer = tiny_llama
    cue = "\nAnswer:"
    window = 64
    text = f"Question: {'x ' * 200}?{cue}"
    while len(tokenizer(text)["input_ids"]) > window - MAX_NEW_TOKENS:
        text = text.replace("x ", "", 1)
    n_tokens = len(tokenizer(text)["input_ids"])
    window -= window - MAX_NEW_TOKENS - n_tokens  # now the text fits exactly
    generator = GreedyGenerator(model, tokenizer, MAX_NEW_TOKENS, max_tokens=window)
    longer = text.replace("Question:", "Question: x", 1)
    n_longer = len(tokenizer(longer)["input_ids"])
    assert n_longer > n_tokens
    exact, beyond, never = generator.generate(
        [
            GenerationRequest(text, kept=cue),
            GenerationRequest(longer, kept=cue),
            GenerationRequest(longer, kept=longer),
        ]
    )
    assert (exact.n_cut, exact.error) == (0, None)
    assert (beyond.n_cut, beyond.error) == (n_longer - n_tokens, None)
    assert (
        exact.output == GreedyGenerator(model, tokenizer, MAX_NEW_TOKENS).generate([GenerationRequest(text)])[0].output
    )
    assert never.error is not None
    assert never.error.startswith("ValueError: too long")


def sliding_model(vocabulary: int) -> MistralForCausalLM:
    config = MistralConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        sliding_window=8,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return MistralForCausalLM(config).float().eval()


@pytest.mark.parametrize("simple", [True, False])
def test_a_sliding_window_is_kept_to_in_both_kinds_of_cache(
    tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch, simple: bool
) -> None:
    """The reference reads everything anew at every step, without any cache."""
    tokenizer = tiny_llama[1]
    model = sliding_model(len(tokenizer))
    assert has_simple_cache(model)
    monkeypatch.setattr(transformers_engine, "has_simple_cache", lambda _: simple)
    asked = [request for request in requests(16) if not request.n_options]
    for request, done in zip(asked, GreedyGenerator(model, tokenizer, 6).generate(asked), strict=True):
        ids, gains = list(tokenizer(request.text)["input_ids"]), []
        with torch.no_grad():
            for _ in range(6):
                log_probs = model(torch.tensor([ids]), use_cache=False).logits[0, -1].log_softmax(dim=-1)
                token = int(log_probs.argmax())
                ids.append(token)
                gains.append(float(log_probs[token]))
        assert tokenizer.decode(ids).endswith(done.output) or done.finish_reason == "stop"
        assert done.log_likelihood == pytest.approx(sum(gains[: done.n_answer_tokens]), abs=1e-4)


def test_models_that_need_their_own_cache_get_the_same_answers(
    chatty: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests()
    simple = GreedyGenerator(*chatty, MAX_NEW_TOKENS)
    answers = simple.generate(asked)
    monkeypatch.setattr(transformers_engine, "has_simple_cache", lambda _: False)
    generator = GreedyGenerator(*chatty, MAX_NEW_TOKENS, max_batch_tokens=300)
    assert differences(answers, generator.generate(asked)) == []
    assert generator.counts.tokens_generated == simple.counts.tokens_generated
    assert generator.counts.tokens_read == simple.counts.tokens_read


def test_recurrent_layers_need_their_own_cache(tiny_llama: TinyLlama) -> None:
    class Holder:
        config = FalconH1Config(num_hidden_layers=2)

    assert has_simple_cache(tiny_llama[0])
    assert not has_simple_cache(Holder())  # type: ignore[arg-type]


CHOICES = [
    choice_context(f"What is the capital of {place}?", ["Paris", "Rome", "Lima", "Tokyo"]) + "\nAnswer:"
    for place in ("France", "Italy", "Peru", "Japan")
]


def letters_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> list[Generation]:
    requests = [GenerationRequest(text, n_options=4, kept="Answer:") for text in CHOICES]
    return GreedyGenerator(model, tokenizer, MAX_NEW_TOKENS).generate(requests)


@pytest.mark.parametrize("name", [*CONFIGS, "gemma3_with_images"])
def test_letters_of_a_model_of_16_bits_are_not_rounded_by_its_head(name: str, tiny_llama: TinyLlama) -> None:
    """The yardstick is the same model with nothing rounded but its states, which are read at the head's door."""
    tokenizer = tiny_llama[1]
    make = tiny_gemma3_with_images if name == "gemma3_with_images" else partial(tiny_model, name)
    model = make(len(tokenizer)).to(torch.bfloat16)
    found = letters_of(model, tokenizer)
    letters = letter_tokens(tokenizer, "abcd")
    for text, generation in zip(CHOICES, found, strict=True):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            states = model.base_model(input_ids=ids).last_hidden_state[0, -1].double()
            weight = model.get_output_embeddings().weight[letters].double()
            exact = logit_rule(model).apply(weight @ states)
            rounded = model(input_ids=ids).logits[0, -1]
        logs = torch.tensor(generation.option_log_likelihoods, dtype=torch.float64)
        # Batches round states a little differently; between letters, a rounded head is off by more.
        torch.testing.assert_close(logs - logs[0], exact - exact[0], rtol=0.02, atol=0.02 * float(exact.abs().max()))
        assert not torch.equal(logs.float() - logs[0].float(), (rounded[letters] - rounded[letters[0]]).float())
        assert generation.output.strip() == tokenizer.decode([int(rounded.argmax())]).strip()


def test_letters_of_a_head_that_ties_them_differ_by_their_states(tiny_llama: TinyLlama) -> None:
    """Logits near 20, where bfloat16 has steps of 0.125, and letters that differ by a tenth of that."""
    model, tokenizer = copy.deepcopy(tiny_llama[0]), tiny_llama[1]
    letters = letter_tokens(tokenizer, "abcd")
    ids = torch.tensor([tokenizer(CHOICES[0])["input_ids"]])
    with torch.no_grad():
        state = model.model(input_ids=ids).last_hidden_state[0, -1]
        towards = 20 * state / state.square().sum()
        for place, token in enumerate(letters):
            model.lm_head.weight[token] = towards
            model.lm_head.weight[token, int(state.abs().argmax())] *= 1 + 0.004 * place
    generation = letters_of(model.to(torch.bfloat16), tokenizer)[0]
    assert len(set(generation.option_log_likelihoods)) > 2
    with torch.no_grad():
        rounded = model(input_ids=ids).logits[0, -1, letters]
    assert len(set(rounded.tolist())) < len(set(generation.option_log_likelihoods))


def test_letters_of_a_model_in_float32_stay_what_they_were(tiny_llama: TinyLlama) -> None:
    model, tokenizer = tiny_llama
    letters = letter_tokens(tokenizer, "abcd")
    for text, generation in zip(CHOICES, letters_of(model, tokenizer), strict=True):
        with torch.no_grad():
            logs = model(input_ids=torch.tensor([tokenizer(text)["input_ids"]])).logits[0, -1].log_softmax(-1)
        assert generation.option_log_likelihoods == pytest.approx(logs[letters].tolist(), abs=1e-5)
