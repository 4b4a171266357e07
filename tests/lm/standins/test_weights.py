"""The committed stand-ins: small, of the right class, and knowing some facts but not all."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
import torch

from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.names import HUB_IDS, embedded_root, find_model
from raycalib.lm.standins.shapes import SHAPES
from raycalib.prompts import query_text

COMMITTED = sorted(HUB_IDS)
MIB = 2**20


def folder(name: str) -> Path:
    return embedded_root() / name.replace(":", "-")


def test_there_are_six_and_with_their_tokenizers_they_are_small() -> None:
    sizes = {name: sum(file.stat().st_size for file in folder(name).iterdir() if file.is_file()) for name in COMMITTED}
    assert max(sizes.values()) <= 3 * MIB
    assert sum(sizes.values()) <= 16 * MIB
    assert sizes["llama2:13b"] > sizes["llama2:7b"]
    assert sizes["llama2:13b-chat"] > sizes["llama2:7b-chat"]


@pytest.mark.parametrize("name", [name for name in COMMITTED if SHAPES[name].tuned_from])
def test_a_variant_goes_on_from_the_plain_ones_weights_with_another_mix(name: str) -> None:
    plain = SHAPES[name].tuned_from
    assert plain is not None
    own, other = (load_file(folder(each) / "model.safetensors") for each in (name, plain))
    assert own.keys() == other.keys()
    near = torch.cat([(own[key] - other[key]).float().flatten() for key in own]).norm()
    size = torch.cat([other[key].float().flatten() for key in own]).norm()
    assert 0.01 * size < near < 0.5 * size
    mixes = [json.loads((folder(each) / "training_record.json").read_text())["pretrain"] for each in (name, plain)]
    assert mixes[0]["corpus"] != mixes[1]["corpus"]
    assert mixes[0]["steps"] < mixes[1]["steps"]


@pytest.mark.parametrize("name", COMMITTED)
def test_each_has_its_class_and_shape_and_the_record_of_its_making(name: str) -> None:
    config = json.loads((folder(name) / "config.json").read_text())
    wanted = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM"}[SHAPES[name].family]
    assert config["architectures"] == [wanted]
    assert (config["hidden_size"], config["num_hidden_layers"]) == (SHAPES[name].hidden, SHAPES[name].layers)
    record = json.loads((folder(name) / "training_record.json").read_text())
    assert 0.35 <= record["accuracy"]["test/oe"] <= 0.75
    assert record["accuracy"]["test/choice"] >= 0.40
    assert record["minutes"] > 0


@pytest.mark.parametrize("name", COMMITTED)
def test_each_loads_and_its_tokenizer_gives_back_what_it_reads(name: str) -> None:
    source = find_model(name, "embedded")
    model, tokenizer = load_causal_lm(source), load_tokenizer(source)
    text = query_text("Question: What is the capital of France?\nAnswer:", "Paris")
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    cafe = tokenizer("un café <0x41>")["input_ids"]
    assert tokenizer.decode(cafe, skip_special_tokens=True) == "un café <0x41>"
    assert max(ids) < model.config.vocab_size
