"""Adapters that do not fit are refused with one kind of error; saved ones do not depend on the hash seed."""

import copy
from pathlib import Path
import warnings

import pytest
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from raycalib.errors import ModelError
from raycalib.lm.adapters import attach_lora, load_adapter, save_adapter
from raycalib.lm.lora_settings import LoraSettings
from raycalib.storage import Location


def test_an_adapter_of_another_width_does_not_fit(tiny_llama, tmp_path: Path) -> None:
    model, _ = tiny_llama
    config = copy.deepcopy(model.config)
    config.hidden_size, config.head_dim = 64, 16
    save_adapter(attach_lora(LlamaForCausalLM(config), LoraSettings(), 0), Location(str(tmp_path)))
    with pytest.raises(ModelError, match="does not fit"):
        load_adapter(copy.deepcopy(model), Location(str(tmp_path)), "oe")


def test_an_adapter_of_another_architecture_does_not_fit(tiny_llama, tmp_path: Path) -> None:
    other = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=50, loss_type="ForCausalLMLoss"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_adapter(attach_lora(other, LoraSettings(targets=("c_attn",)), 0), Location(str(tmp_path)))
    with pytest.raises(ModelError, match="does not fit"):
        load_adapter(copy.deepcopy(tiny_llama[0]), Location(str(tmp_path)), "oe")


def test_targets_that_do_not_exist_are_a_model_error(tiny_llama) -> None:
    with pytest.raises(ModelError):
        attach_lora(copy.deepcopy(tiny_llama[0]), LoraSettings(targets=("c_attn",)), 0)


def test_a_broken_adapter_file_is_named(tiny_llama, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError):
        load_adapter(copy.deepcopy(tiny_llama[0]), Location(str(tmp_path)), "oe")


def test_saved_targets_are_sorted_so_that_the_file_does_not_depend_on_the_hash_seed(tiny_llama, tmp_path: Path) -> None:
    import json

    from raycalib.lm.lora_settings import ALL_LINEAR_TARGETS

    settings = LoraSettings(targets=ALL_LINEAR_TARGETS)
    save_adapter(attach_lora(copy.deepcopy(tiny_llama[0]), settings, 0), Location(str(tmp_path)))
    written = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert written == sorted(ALL_LINEAR_TARGETS)
