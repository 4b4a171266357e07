"""What a process needs no group of workers for; tests/tuning/test_distributed.py splits real models."""

import copy
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.adapters import attach_lora
from raycalib.lm.lora_settings import LoraSettings
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.weight_split import pieces, split_weights

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]


def test_modules_of_many_parameters_are_split_by_their_own() -> None:
    layers = nn.Sequential(nn.Linear(10, 10), nn.Sequential(nn.Linear(4, 4), nn.Linear(2, 2)))
    model = nn.ModuleDict({"layers": layers, "head": nn.Linear(3, 3)})
    inner = layers[1]
    assert list(pieces(model, 1000)) == [model]
    assert list(pieces(model, 100)) == [layers[0], inner, layers, model["head"], model]
    assert list(pieces(model, 20)) == [layers[0], inner[0], inner[1], inner, layers, model["head"], model]


def test_what_cannot_be_split_further_is_a_piece_whatever_its_size() -> None:
    layer = nn.Linear(10, 10)
    assert list(pieces(layer, 5)) == [layer]


def test_weights_that_are_not_finite_are_named_where_they_are_split(
    tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models that are mapped from their files are checked here, where each weight is read anyway."""
    split: list[nn.Module] = []
    own_init = SimpleNamespace(Init=lambda module, config_dict_or_path: split.append(module))
    monkeypatch.setitem(sys.modules, "deepspeed", SimpleNamespace(zero=own_init))
    model = copy.deepcopy(tiny_llama[0])
    attach_lora(model, LoraSettings(), 0)
    objective = CalibrationObjective(model, (5, 6), 0.0, "forward")
    split_weights(objective, {}, torch.bfloat16)
    assert split
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = torch.nan
    with pytest.raises(ModelError, match=r"model: the base has: 1 tensor .*: model\.layers\.1\.mlp\.up_proj\.weight;"):
        split_weights(objective, {}, torch.float32)
