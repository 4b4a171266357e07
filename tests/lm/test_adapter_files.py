"""Adapters as the paper's code wrote them load exactly, or are refused with the reason."""

from collections.abc import Callable
import copy
import json
from pathlib import Path
import pickle
from typing import NamedTuple

from peft import PeftModel
import pytest
import safetensors.torch
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.adapter_files import PREFIX, read_lora
from raycalib.lm.adapter_names import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from raycalib.lm.adapters import attach_lora, load_adapter, save_adapter
from raycalib.lm.lora_settings import LoraSettings
from raycalib.storage import Location

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
IDS = torch.tensor([[1, 300, 310, 320, 330], [1, 301, 311, 321, 331]])
EMBEDDINGS = f"{PREFIX}model.embed_tokens.weight"


class Saved(NamedTuple):
    """A model, where an adapter of it lies, and the logits with it."""

    model: LlamaForCausalLM
    path: Path
    logits: Tensor

    @property
    def tensors(self) -> dict[str, Tensor]:
        return safetensors.torch.load_file(self.path / ADAPTER_WEIGHTS)

    def write(self, tensors: dict[str, Tensor]) -> None:
        safetensors.torch.save_file(tensors, self.path / ADAPTER_WEIGHTS)

    def configure(self, **changes: object) -> None:
        file = self.path / ADAPTER_CONFIG
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    def loaded(self) -> PeftModel:
        return load_adapter(copy.deepcopy(self.model), Location(str(self.path)), "oe")


@torch.no_grad()
def logits_of(model: torch.nn.Module) -> Tensor:
    found: Tensor = model.eval()(IDS).logits
    return found


@pytest.fixture
def saved(tiny_llama: TinyLlama, tmp_path: Path) -> Saved:
    model = tiny_llama[0]
    adapted = attach_lora(copy.deepcopy(model), LoraSettings(rank=4), seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    path = tmp_path / "adapter"
    save_adapter(adapted, Location(str(path)))
    logits = logits_of(adapted)
    assert (logits - logits_of(model)).abs().max() > 0.1  # else an adapter that was not loaded would pass
    return Saved(model, path, logits)


def doubled(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {PREFIX + key: tensor.clone() for key, tensor in tensors.items()}


def both(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors | doubled(tensors)


@pytest.mark.parametrize("written", [doubled, both])
def test_doubled_prefixes_load_exactly(saved: Saved, written: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    saved.write(written(saved.tensors))
    assert torch.equal(logits_of(saved.loaded()), saved.logits)


def test_a_second_adapter_with_doubled_prefixes_loads_beside_a_first(saved: Saved) -> None:
    first = saved.loaded()
    saved.write(doubled(saved.tensors))
    model = load_adapter(first, Location(str(saved.path)), "choice")
    model.set_adapter("choice")
    assert torch.equal(logits_of(model), saved.logits)


def test_two_different_tensors_for_one_place_are_refused(saved: Saved) -> None:
    tensors = both(saved.tensors)
    key = next(key for key in tensors if key.startswith(PREFIX + PREFIX))
    tensors[key] += 1e-6
    saved.write(tensors)
    with pytest.raises(ModelError, match=rf"two different tensors for {key.removeprefix(PREFIX)}"):
        saved.loaded()


def test_the_papers_own_type_is_lora(saved: Saved) -> None:
    saved.configure(
        peft_type="CALIBRATED_LORA",
        task_type="CALIBRATED_CAUSAL_LM",
        query_format="roman_choice",
        use_temperature=True,
    )
    loaded = saved.loaded()
    assert loaded.peft_config["oe"].task_type == "CAUSAL_LM"
    assert torch.equal(logits_of(loaded), saved.logits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_format": "bool"}, "tuned on the query format 'bool', raycalib asks 'roman_choice'"),
        ({"peft_type": "IA3"}, r"no LoRA adapter: peft_type is 'IA3' in adapter_config.json; allowed: LORA"),
        ({"r": 10**6}, "has rank 1000000, and no layer has use for more than 4096"),
        ({"r": 0}, r"a rank that is no number above 0 \(r, rank_pattern\): \[0\]"),
        ({"rank_pattern": {"q_proj": True}}, "no number above 0"),
        ({"rank_pattern": {"q_proj": 5}}, "asks for rank 5 in adapter_config.json, and its matrices have 4"),
        ({"modules_to_save": ["lm_head"]}, r"replaces whole modules \(modules_to_save: \['lm_head'\]\)"),
    ],
)
def test_other_configurations_are_refused(saved: Saved, changes: dict[str, object], message: str) -> None:
    saved.configure(**changes)
    with pytest.raises(ModelError, match=message):
        saved.loaded()


def test_no_library_that_a_configuration_names_is_kept(saved: Saved) -> None:
    saved.configure(auto_mapping={"base_model_class": "system", "parent_library": "os"})
    assert read_lora(Location(str(saved.path)), saved.model).config["auto_mapping"] is None
    assert torch.equal(logits_of(saved.loaded()), saved.logits)


@pytest.mark.parametrize("text", ["[]", "{"])
def test_a_configuration_that_is_none_is_refused(saved: Saved, text: str) -> None:
    (saved.path / ADAPTER_CONFIG).write_text(text)
    with pytest.raises(ModelError, match=rf"adapter: {saved.path} "):
        saved.loaded()


@pytest.mark.parametrize("n_added", [-1, 0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_copies_of_the_embeddings_are_left_out(saved: Saved, n_added: int, dtype: torch.dtype) -> None:
    """A vocabulary that was resized for a padding token, as the paper's code does, or never padded to a round size."""
    own = saved.model.get_input_embeddings().weight.detach().to(dtype)
    rows = torch.cat([own, torch.ones(1, own.shape[1], dtype=dtype)])[: len(own) + n_added]
    saved.write(saved.tensors | {EMBEDDINGS: rows.clone(), f"{PREFIX}{EMBEDDINGS}": rows.clone()})
    assert torch.equal(logits_of(saved.loaded()), saved.logits)


@pytest.mark.parametrize("key", [EMBEDDINGS, f"{PREFIX}model.layers.0.self_attn.q_proj.bias"])
def test_other_weights_than_the_models_are_refused(saved: Saved, key: str) -> None:
    rows = saved.model.get_input_embeddings().weight.detach().clone()
    rows[7] += 0.01
    saved.write(saved.tensors | {key: rows})
    with pytest.raises(ModelError, match=rf"1 tensors that are neither LoRA's nor copies .* such as {key};"):
        saved.loaded()


def test_a_pickle_is_refused_unread(saved: Saved) -> None:
    (saved.path / ADAPTER_WEIGHTS).unlink()
    (saved.path / "adapter_model.bin").write_bytes(pickle.dumps(pytest.fail))
    with pytest.raises(ModelError, match=r"adapter_model\.bin, a pickle.*convert it once: safetensors\.torch\.save_"):
        saved.loaded()


def test_nothing_is_left_of_the_papers_layout(saved: Saved) -> None:
    plain = saved.tensors
    saved.write(both(plain))
    saved.configure(peft_type="CALIBRATED_LORA", query_format="roman_choice")
    config, tensors = read_lora(Location(str(saved.path)), saved.model)
    assert sorted(tensors) == sorted(plain)
    assert (config["peft_type"], "query_format" in config) == ("LORA", False)
