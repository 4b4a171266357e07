"""Adapters of all kinds load as plain PEFT loads them, or are refused by the name of what they are."""

import copy
import json
from pathlib import Path
from typing import Any
import warnings

from peft import LoraConfig, PeftModel, get_peft_model
import pytest
import safetensors.torch
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.adapter_names import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from raycalib.lm.adapters import load_adapter
from raycalib.storage import Location

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
IDS = torch.tensor([[1, 300, 310, 320, 330], [1, 301, 311, 321, 331]])
LINEAR = ["q_proj", "v_proj"]

KINDS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "rsLoRA": {"use_rslora": True, "r": 4},
    "DoRA": {"use_dora": True},
    "DoRA on all layers": {"use_dora": True, "target_modules": "all-linear"},
    "ranks and alphas by layer": {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"v_proj": 31}},
    "embeddings": {"target_modules": ["embed_tokens", *LINEAR]},
    "embeddings alone": {"target_modules": ["embed_tokens"]},
    "DoRA on embeddings": {"target_modules": ["embed_tokens", "q_proj"], "use_dora": True},
    "head": {"target_modules": ["lm_head", "v_proj"]},
    "biases of its own": {"lora_bias": True},
    "one layer": {"layers_to_transform": [1]},
    "drawn otherwise": {"init_lora_weights": "gaussian"},
}


@torch.no_grad()
def logits_of(model: torch.nn.Module) -> Tensor:
    found: Tensor = model.eval()(IDS).logits
    return found


def save(model: LlamaForCausalLM, place: Path, **changes: Any) -> None:
    """Writes an adapter as PEFT does, with drawn numbers where a fresh one has zeros."""
    settings = {"r": 2, "lora_alpha": 8, "target_modules": LINEAR, "task_type": "CAUSAL_LM"} | changes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(copy.deepcopy(model), LoraConfig(**settings))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if weight.requires_grad:
                    drawn = torch.randn(weight.shape, generator=generator).mul(0.2)
                    weight.copy_(weight * (1 + drawn) if "magnitude" in name else weight + drawn)
        adapted.save_pretrained(str(place))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_they_load_as_plain_peft_loads_them(tiny_llama: TinyLlama, tmp_path: Path, kind: str) -> None:
    model = tiny_llama[0]
    save(model, tmp_path, **KINDS[kind])
    expected = logits_of(PeftModel.from_pretrained(copy.deepcopy(model), str(tmp_path)))
    assert (expected - logits_of(model)).abs().max() > 0.1
    place = Location(str(tmp_path))
    loaded = load_adapter(copy.deepcopy(model), place, "oe")
    assert torch.equal(logits_of(loaded), expected)
    beside = load_adapter(loaded, place, "choice")  # what adapts embeddings renames the base's own
    beside.set_adapter("choice")
    assert torch.equal(logits_of(beside), expected)


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"bias": "all"}, r"trains the base's own biases \(bias: 'all'\)"),
    ({"bias": "lora_only"}, r"trains the base's own biases"),
    ({"modules_to_save": ["lm_head"]}, r"replaces whole modules \(modules_to_save"),
    ({"trainable_token_indices": [3, 4]}, r"replaces rows of the embedding \(trainable_token_indices: \[3, 4\]\)"),
    ({"init_lora_weights": "pissa"}, r"starts from a part of the base's weights.*'pissa'"),
    ({"init_lora_weights": "olora"}, r"starts from a part of the base's weights.*'olora'"),
    ({"alora_invocation_tokens": [5]}, r"is an activated LoRA"),
    ({"layer_replication": [[0, 2], [1, 2]]}, r"repeats layers of the model"),
    ({"from_2030": "x"}, r"sets from_2030: 'x', which the installed PEFT does not know"),
]


@pytest.mark.parametrize(("changes", "message"), OTHERS)
def test_others_are_named(tiny_llama: TinyLlama, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    save(tiny_llama[0], tmp_path)
    file = tmp_path / ADAPTER_CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(ModelError, match=message) as raised:
        load_adapter(copy.deepcopy(tiny_llama[0]), Location(str(tmp_path)), "oe")
    assert "\n" not in str(raised.value)


def broken(tiny_llama: TinyLlama, place: Path, change: Any) -> str:
    save(tiny_llama[0], place)
    file = place / ADAPTER_WEIGHTS
    safetensors.torch.save_file(change(safetensors.torch.load_file(file)), file)
    with pytest.raises(ModelError) as raised:
        load_adapter(copy.deepcopy(tiny_llama[0]), Location(str(place)), "oe")
    assert "\n" not in str(raised.value)
    return str(raised.value)


Q_B = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight"


def test_a_tensor_that_is_missing_is_named(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    message = broken(tiny_llama, tmp_path, lambda t: {name: x for name, x in t.items() if name != Q_B})
    assert f"0 of its 7 tensors have no place, 1 places have no tensor ({Q_B});" in message


def test_a_tensor_without_a_place_is_named(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    extra = Q_B.replace("layers.1", "layers.7")
    message = broken(tiny_llama, tmp_path, lambda t: t | {extra: torch.ones(2, 2)})
    assert f"1 of its 9 tensors have no place ({extra}), 0 places have no tensor;" in message


def test_a_tensor_of_another_shape_is_named_with_both(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    message = broken(tiny_llama, tmp_path, lambda t: t | {Q_B: torch.ones(48, 2)})
    assert f"size mismatch for {Q_B.replace('.weight', '.oe.weight')}" in message
    assert "[48, 2]" in message
    assert "[32, 2]" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_tensor_that_is_not_finite_is_named(tiny_llama: TinyLlama, tmp_path: Path, value: float) -> None:
    message = broken(tiny_llama, tmp_path, lambda t: t | {Q_B: torch.full((32, 2), value)})
    assert f"has: 1 tensor with values that are NaN or infinite: {Q_B};" in message


def test_a_pointer_of_lfs_is_named(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    save(tiny_llama[0], tmp_path)
    (tmp_path / ADAPTER_WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors of .* is a Git LFS pointer"):
        load_adapter(copy.deepcopy(tiny_llama[0]), Location(str(tmp_path)), "oe")
