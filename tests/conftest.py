"""Fakes that tests share: a tiny language model with a tokenizer of its own, in memory and on disk."""

from collections.abc import Iterator
import json
from pathlib import Path
import sys
from typing import Any

from hypothesis import settings
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.prompts import choice_context, open_ended_context, query_text

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
SPECIAL = ["<unk>", "<s>", "</s>"]
BOS_ID, EOS_ID = 1, 2
MAX_POSITIONS = 512
FACTS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Peru": "Lima", "Japan": "Tokyo", "Cuba": "Havana"}


settings.register_profile("raycalib", deadline=None)  # no test asserts on time
settings.load_profile("raycalib")


def pytest_configure(config: pytest.Config) -> None:
    """PEFT 0.21 asks transformers 5.23 by a name that it deprecates; nothing of ours can avoid it."""
    config.addinivalue_line("filterwarnings", "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def _ray_is_not_asked_for(*arguments: Any, **options: Any) -> None:
    raise AssertionError("this test starts Ray: mark it ray, so that the unit tests stay quick")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Tests of the unit tier start no Ray, in a fixture neither."""
    ray = sys.modules.get("ray")
    if ray is None or item.get_closest_marker("ray"):
        return (yield)
    start = ray.init
    ray.init = _ray_is_not_asked_for
    try:
        return (yield)
    finally:
        ray.init = start


def training_texts() -> list[str]:
    """Answered questions in both styles, their uncertainty queries, and every option letter."""
    texts = []
    for country, capital in FACTS.items():
        question = f"What is the capital of {country}?"
        asked = f"{open_ended_context(question)}\nAnswer:"
        texts += [f"{asked} {capital}\n\n"] * 3
        texts += [f"{query_text(asked, capital)} {label}\n\n" for label in ("i", "ii")] * 20
        choices = choice_context(question, list(FACTS.values()))
        texts += [f"{choices}\nAnswer: {letter}\n\n" for letter in "abcdefghij"] * 9
    return texts


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Sentencepiece-like BPE with byte fallback and a BOS, as the stand-ins have it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", behavior="isolated"),
            pre_tokenizers.Split(pattern=Regex(r"[?:()]"), behavior="isolated"),
            pre_tokenizers.Metaspace(prepend_scheme="first"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=[*SPECIAL, *byte_tokens], show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(training_texts(), trainer)
    trained = json.loads(tokenizer.to_str())
    trained["added_tokens"] = [token for token in trained["added_tokens"] if token["content"] in SPECIAL]
    tokenizer = Tokenizer.from_str(json.dumps(trained))  # bytes are ordinary tokens, as in Llama 2
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS_ID)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=MAX_POSITIONS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


@pytest.fixture(scope="session")
def tiny_llama() -> TinyLlama:
    """A seeded two-layer Llama in float32, and its tokenizer.

    Shared by the whole session: tests that attach adapters or change weights take a deep copy of the model.
    """
    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=MAX_POSITIONS,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=None,
        initializer_range=0.3,  # the default of 0.02 gives all tokens nearly the same logit
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    return model.float().eval(), tokenizer


@pytest.fixture
def tiny_model_dir(tiny_llama: TinyLlama, tmp_path: Path) -> Path:
    """A directory with the tiny model's configuration, tokenizer and safetensors weights."""
    model, tokenizer = tiny_llama
    directory = tmp_path / "tiny-model"
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
