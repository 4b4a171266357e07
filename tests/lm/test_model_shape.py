"""Parameter counts against the models themselves, built without memory on the meta device."""

from dataclasses import replace
from typing import Any

from peft import LoraConfig, get_peft_model
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from raycalib.errors import ModelError
from raycalib.lm.find_shape import find_shape
from raycalib.lm.lora_settings import ALL_LINEAR_TARGETS, ATTENTION_TARGETS
from raycalib.lm.model_shape import ModelShape, model_shape
from raycalib.lm.names import ModelSource

SMALL: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 48,
    "intermediate_size": 112,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SMALL),
    "llama with biases": LlamaConfig(**SMALL, attention_bias=True, mlp_bias=True),
    "llama with a tied head": LlamaConfig(**SMALL, tie_word_embeddings=True),
    "mistral with wide heads": MistralConfig(**SMALL, head_dim=16),
    "qwen 2": Qwen2Config(**SMALL, tie_word_embeddings=True),
    "qwen 3": Qwen3Config(**SMALL, head_dim=16),
    "qwen 3 with biases": Qwen3Config(**SMALL, head_dim=16, attention_bias=True),
}


def on_meta(config: PreTrainedConfig) -> PreTrainedModel:
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return model


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_those_of_the_model(name: str) -> None:
    config = CONFIGS[name]
    assert model_shape(config.to_dict(), name).n_parameters == count(on_meta(config))


@pytest.mark.parametrize(
    ("hub_id", "expected"),
    [
        ("meta-llama/Llama-2-7b-hf", 6_738_415_616),
        ("meta-llama/Llama-2-7b-chat-hf", 6_738_415_616),
        ("meta-llama/Llama-2-13b-hf", 13_015_864_320),
        ("meta-llama/Llama-2-13b-chat-hf", 13_015_864_320),
        ("meta-llama/Llama-2-70b-hf", 68_976_648_192),
        ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
        ("mistralai/Mistral-7B-Instruct-v0.2", 7_241_732_096),
    ],
)
def test_published_shapes_have_the_published_numbers_of_parameters(hub_id: str, expected: int) -> None:
    shape = find_shape(ModelSource(name=hub_id, path=hub_id, is_local=False))
    assert shape.n_parameters == expected
    family = MistralConfig if "mistral" in hub_id else LlamaConfig
    config = family(
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads,
        vocab_size=shape.vocab_size,
    )
    assert count(on_meta(config)) == expected


def test_mistral_by_hand() -> None:
    layer = 4096 * (4096 + 1024 + 1024) + 4096 * 4096 + 3 * 4096 * 14336 + 2 * 4096
    shape = find_shape(ModelSource(name="m", path="mistralai/Mistral-7B-v0.1", is_local=False))
    assert shape.n_parameters == 32 * layer + 2 * 32000 * 4096 + 4096


@pytest.mark.parametrize("targets", [ATTENTION_TARGETS, ALL_LINEAR_TARGETS, ("o_proj", "down_proj")])
@pytest.mark.parametrize("name", ["llama", "mistral with wide heads"])
def test_an_adapters_parameters_are_those_that_peft_makes_in_float32(name: str, targets: tuple[str, ...]) -> None:
    config = CONFIGS[name]
    base = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
    adapted = get_peft_model(base, LoraConfig(r=5, target_modules=list(targets), task_type="CAUSAL_LM"))
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    assert model_shape(config.to_dict(), name).n_lora_parameters(5, targets) == sum(part.numel() for part in trained)
    assert {part.dtype for part in trained} == {torch.float32}


def test_a_module_that_is_not_of_the_layers_is_refused() -> None:
    shape = model_shape(CONFIGS["llama"].to_dict(), "llama")
    with pytest.raises(ModelError, match=r"lora.targets: lm_head cannot be planned for; known: q_proj, k_proj"):
        shape.n_lora_parameters(8, ("q_proj", "lm_head"))


def test_sizes_that_old_configurations_leave_out_are_those_of_plain_attention() -> None:
    config = CONFIGS["llama"].to_dict()
    whole = model_shape(config, "x")
    assert model_shape({**config, "head_dim": None}, "x") == whole
    without = {key: value for key, value in config.items() if key not in ("num_key_value_heads", "head_dim")}
    assert model_shape(without, "x") == replace(whole, n_kv_heads=6)
    assert isinstance(whole, ModelShape)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, r"plan: 'mine' is of the type 'gpt2', whose memory is not known; known: llama, mistr"),
        ({"model_type": "mixtral"}, "'mixtral'"),
        ({"model_type": None}, "of the type None"),
        ({"hidden_size": None, "vocab_size": 0}, r"'mine' has no usable hidden_size, vocab_size; look at config.json"),
        ({"num_hidden_layers": "32"}, "no usable num_hidden_layers"),
    ],
)
def test_what_cannot_be_planned_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        model_shape(CONFIGS["llama"].to_dict() | changes, "mine")
