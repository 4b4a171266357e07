import copy
import json
from pathlib import Path
import warnings

from peft import PeftModel
import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ConfigError, ModelError, StorageError
from raycalib.lm.adapter_names import ADAPTER_FILES
from raycalib.lm.adapters import attach_lora, load_adapter, save_adapter
from raycalib.lm.lora_settings import ALL_LINEAR_TARGETS, LoraSettings
from raycalib.storage import Location

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
IDS = torch.tensor([[1, 300, 310, 320, 330], [1, 301, 311, 321, 331]])


@torch.no_grad()
def logits(model: torch.nn.Module) -> Tensor:
    found: Tensor = model.eval()(IDS).logits
    return found


def tuned(model: LlamaForCausalLM, settings: LoraSettings, seed: int) -> PeftModel:
    """A copy of the model with an adapter that changes its logits."""
    peft_model = attach_lora(copy.deepcopy(model), settings, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in peft_model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return peft_model


def resized(model: LlamaForCausalLM, **changes: int) -> LlamaForCausalLM:
    config = copy.deepcopy(model.config)
    for name, value in changes.items():
        setattr(config, name, value)
    return LlamaForCausalLM(config).eval()


def test_a_fresh_adapter_changes_nothing(tiny_llama: TinyLlama) -> None:
    model, _ = tiny_llama
    before = logits(model)
    adapted = attach_lora(copy.deepcopy(model), LoraSettings(targets=ALL_LINEAR_TARGETS), seed=0)
    assert torch.equal(logits(adapted), before)


def test_only_the_adapter_is_trainable(tiny_llama: TinyLlama) -> None:
    settings = LoraSettings(rank=3)
    adapted = attach_lora(copy.deepcopy(tiny_llama[0]), settings, seed=0)
    trainable = {name: tuple(part.shape) for name, part in adapted.named_parameters() if part.requires_grad}
    # Two layers, q and v, A and B; hidden 32, v has 2 heads of 8.
    assert len(trainable) == 2 * 2 * 2
    assert all("lora_" in name for name in trainable)
    assert sorted(set(trainable.values())) == [(3, 32), (16, 3), (32, 3)]


def test_the_seed_draws_the_adapter_and_leaves_the_random_state_alone(tiny_llama: TinyLlama) -> None:
    state = torch.get_rng_state()
    first, again, other = (
        attach_lora(copy.deepcopy(tiny_llama[0]), LoraSettings(), seed).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    drawn = [name for name in first if "lora_A" in name]
    assert all(torch.equal(first[name], again[name]) for name in drawn)
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


def test_the_models_dtype_does_not_change_the_fresh_adapter(tiny_llama: TinyLlama) -> None:
    whole, half = (
        attach_lora(copy.deepcopy(tiny_llama[0]).to(dtype), LoraSettings(), 1) for dtype in (torch.float32, torch.half)
    )
    drawn = {name: weight for name, weight in whole.named_parameters() if weight.requires_grad}
    for name, weight in half.named_parameters():
        if weight.requires_grad:
            assert torch.equal(weight, drawn.pop(name))
    assert not drawn
    assert all(weight.dtype == torch.float32 for weight in half.parameters() if weight.requires_grad)


def test_alpha_over_rank_scales_the_update(tiny_llama: TinyLlama) -> None:
    model, _ = tiny_llama
    adapted = tuned(model, LoraSettings(rank=4, alpha=10.0, targets=("q_proj",)), seed=0)
    layer = adapted.get_base_model().model.layers[0].self_attn.q_proj
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = x @ model.model.layers[0].self_attn.q_proj.weight.T + 10 / 4 * (x @ a.T @ b.T)
    torch.testing.assert_close(layer.eval()(x), expected, rtol=1e-5, atol=1e-5)


def test_plain_peft_loads_what_was_saved(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    model, _ = tiny_llama
    adapted = tuned(model, LoraSettings(rank=4, targets=ALL_LINEAR_TARGETS), seed=0)
    save_adapter(adapted, Location(str(tmp_path)))
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(ADAPTER_FILES)
    loaded = PeftModel.from_pretrained(copy.deepcopy(model), str(tmp_path))
    assert (logits(adapted) - logits(model)).abs().max() > 0.1
    assert torch.equal(logits(loaded), logits(adapted))


def test_the_saved_files_are_the_same_every_time(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_adapter(
            tuned(tiny_llama[0], LoraSettings(targets=ALL_LINEAR_TARGETS), seed=0), Location(str(tmp_path)) / name
        )
    for file in ADAPTER_FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    config = json.loads((tmp_path / "one" / ADAPTER_FILES[0]).read_text())
    assert set(config["target_modules"]) == set(ALL_LINEAR_TARGETS)
    assert (config["r"], config["lora_alpha"], config["task_type"]) == (8, 32.0, "CAUSAL_LM")


def test_two_adapters_by_name_on_one_model(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    model, _ = tiny_llama
    place = Location(str(tmp_path))
    settings = {"oe": LoraSettings(rank=2), "choice": LoraSettings(rank=4, targets=ALL_LINEAR_TARGETS)}
    alone = {}
    for seed, (name, one) in enumerate(settings.items()):
        adapted = tuned(model, one, seed)
        alone[name] = logits(adapted)
        save_adapter(adapted, place / name)
    both = load_adapter(copy.deepcopy(model), place / "oe", "oe")
    both = load_adapter(both, place / "choice", "choice")
    assert not torch.allclose(alone["oe"], alone["choice"], atol=0.1)
    for name in ("oe", "choice", "oe"):
        both.set_adapter(name)
        torch.testing.assert_close(logits(both), alone[name], rtol=0, atol=1e-6)
    with both.disable_adapter():
        assert torch.equal(logits(both), logits(model))


@pytest.mark.parametrize("n_layers", [1, 3])
def test_an_adapter_of_another_depth_does_not_fit(tiny_llama: TinyLlama, tmp_path: Path, n_layers: int) -> None:
    model, _ = tiny_llama
    save_adapter(tuned(resized(model, num_hidden_layers=n_layers), LoraSettings(), seed=0), Location(str(tmp_path)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of keys that are missing; the error says it better
        with pytest.raises(ModelError, match=rf"adapter: {tmp_path} does not fit the model"):
            load_adapter(copy.deepcopy(model), Location(str(tmp_path)), "oe")


def test_an_adapter_that_is_not_there_is_a_storage_error(tiny_llama: TinyLlama, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"adapter_config\.json"):
        load_adapter(copy.deepcopy(tiny_llama[0]), Location(str(tmp_path)), "oe")


def test_wrong_settings_are_named_all_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        LoraSettings(rank=0, dropout=1.0, targets=())
    message = str(raised.value)
    assert "lora.rank: 0 is not allowed; at least 1" in message
    assert "lora.dropout: 1.0 is not allowed; from 0 to below 1" in message
    assert "lora.targets: () is not allowed" in message


def test_the_defaults_are_the_papers() -> None:
    assert LoraSettings() == LoraSettings(rank=8, alpha=32.0, dropout=0.1, targets=("q_proj", "v_proj"))
