"""Directories of models with faults that users report are refused in one line, and whole ones are not."""

from collections.abc import Callable
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from raycalib.errors import ModelError
from raycalib.lm.loading import load_as_stored, load_causal_lm, load_empty, load_tokenizer
from raycalib.lm.lora_settings import ALL_LINEAR_TARGETS, ATTENTION_TARGETS
from raycalib.lm.model_check import check_model
from raycalib.lm.model_files import read_settings
from raycalib.lm.names import ModelSource, find_model
from tests.lm.architectures import tiny_model

WEIGHTS = "model.safetensors"
LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4000000\n"


def source_of(directory: Path) -> ModelSource:
    return find_model(str(directory))


def here(directory: Path) -> ModelSource:
    """A directory that may have no weights yet."""
    return ModelSource(name="m", path=str(directory), is_local=True)


def refusal(do: Callable[[ModelSource], object], directory: Path) -> str:
    with pytest.raises(ModelError) as raised:
        do(source_of(directory))
    message = str(raised.value)
    assert "\n" not in message
    return message


def rewrite(directory: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    tensors = change(safetensors.torch.load_file(directory / WEIGHTS))
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(whole, directory / WEIGHTS, metadata={"format": "pt"})


def configure(directory: Path, name: str, **changes: object) -> None:
    file = directory / name
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


CHECKS = [check_model, load_causal_lm, load_as_stored, load_empty]
"""What says of names and shapes that they are not the model's: the driver's check, and each way to load."""


@pytest.mark.parametrize("check", CHECKS)
def test_a_whole_model_is_loaded_by_all_ways(tiny_model_dir: Path, check: Callable[[ModelSource], object]) -> None:
    check(source_of(tiny_model_dir))


@pytest.mark.parametrize("check", CHECKS)
def test_a_layer_that_is_left_out_is_named(tiny_model_dir: Path, check: Callable[[ModelSource], object]) -> None:
    rewrite(tiny_model_dir, lambda t: {name: x for name, x in t.items() if ".layers.1." not in name})
    message = refusal(check, tiny_model_dir)
    assert "9 tensors of LlamaForCausalLM not in the files: model.layers.1.input_layernorm.weight, " in message
    assert message.endswith("and 6 more; download the model again, or save it whole by save_pretrained")


@pytest.mark.parametrize("check", CHECKS)
def test_tensors_under_a_prefix_are_named_both_ways(
    tiny_model_dir: Path, check: Callable[[ModelSource], object]
) -> None:
    rewrite(tiny_model_dir, lambda t: {f"wrapped.{name}": x for name, x in t.items()})
    message = refusal(check, tiny_model_dir)
    assert "21 tensors of LlamaForCausalLM not in the files: lm_head.weight, " in message
    assert "21 tensors in the files without a place in the model: wrapped.lm_head.weight, " in message


@pytest.mark.parametrize("check", CHECKS)
def test_a_tensor_too_many_is_named(tiny_model_dir: Path, check: Callable[[ModelSource], object]) -> None:
    rewrite(tiny_model_dir, lambda t: t | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(32)})
    message = refusal(check, tiny_model_dir)
    assert "1 tensor in the files without a place in the model: model.layers.0.self_attn.q_proj.bias;" in message


@pytest.mark.parametrize("check", CHECKS)
def test_a_configuration_of_another_width_is_named_with_both_shapes(
    tiny_model_dir: Path, check: Callable[[ModelSource], object]
) -> None:
    configure(tiny_model_dir, "config.json", intermediate_size=128)
    message = refusal(check, tiny_model_dir)
    assert "6 tensors of another shape than config.json says" in message
    assert "model.layers.0.mlp.down_proj.weight (32, 64) in the files, (32, 128) in the model" in message
    assert message.endswith("put the config.json there that belongs to the weights, or download both again")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_named(tiny_model_dir: Path, value: float) -> None:
    def spoil(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = value
        return tensors

    rewrite(tiny_model_dir, spoil)
    check_model(source_of(tiny_model_dir))  # reads no weight
    message = refusal(load_causal_lm, tiny_model_dir)
    assert "1 tensor with values that are NaN or infinite: model.layers.1.mlp.up_proj.weight;" in message


@pytest.mark.parametrize("is_tied", [True, False])
def test_tied_embeddings_and_buffers_are_no_fault(tiny_llama, tmp_path: Path, is_tied: bool) -> None:
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tiny_llama[1]), tie_word_embeddings=is_tied, **shape))
    model.save_pretrained(tmp_path)
    tiny_llama[1].save_pretrained(tmp_path)
    names = set(safetensors.torch.load_file(tmp_path / WEIGHTS))
    assert ("lm_head.weight" in names) != is_tied
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}  # in files of transformers 4.30
    rewrite(tmp_path, lambda t: t | old)
    check_model(source_of(tmp_path))
    loaded = load_causal_lm(source_of(tmp_path))
    ids = torch.tensor([[1, 300, 310, 320]])
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, model.eval()(ids).logits)


def test_a_head_that_is_neither_there_nor_tied_is_a_fault(tiny_model_dir: Path) -> None:
    rewrite(tiny_model_dir, lambda t: {name: x for name, x in t.items() if name != "lm_head.weight"})
    assert "1 tensor of LlamaForCausalLM not in the files: lm_head.weight;" in refusal(check_model, tiny_model_dir)


def test_no_weight_is_read(tiny_model_dir: Path) -> None:
    assert all(weight.is_meta for weight in load_empty(source_of(tiny_model_dir)).parameters())


def test_a_pointer_of_lfs_is_named_with_the_remedy(tiny_model_dir: Path) -> None:
    (tiny_model_dir / WEIGHTS).write_text(LFS)
    message = refusal(check_model, tiny_model_dir)
    assert f"model.safetensors of '{tiny_model_dir}' is a Git LFS pointer in place of the file" in message
    assert "git lfs pull" in message


def test_a_file_that_is_cut_short_is_named(tiny_model_dir: Path) -> None:
    file = tiny_model_dir / WEIGHTS
    file.write_bytes(file.read_bytes()[:5000])
    message = refusal(check_model, tiny_model_dir)
    assert f"model.safetensors of '{tiny_model_dir}' is damaged or cut short (5,000 bytes)" in message


def test_a_shard_that_is_missing_is_named(tiny_llama, tmp_path: Path) -> None:
    tiny_llama[0].save_pretrained(tmp_path, max_shard_size="50KB")
    tiny_llama[1].save_pretrained(tmp_path)
    check_model(source_of(tmp_path))
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    assert f"model: {shard.name} of '{tmp_path}' is not there;" in refusal(check_model, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_broken_json_file_is_named(tiny_model_dir: Path, name: str) -> None:
    file = tiny_model_dir / name
    file.write_bytes(file.read_bytes()[:200])
    assert f"{name} of '{tiny_model_dir}' is damaged or cut short" in refusal(check_model, tiny_model_dir)


def test_a_missing_tokenizer_is_named(tiny_model_dir: Path) -> None:
    for file in tiny_model_dir.glob("tokenizer*"):
        file.unlink()
    for do in (check_model, load_tokenizer):
        assert f"'{tiny_model_dir}' has no tokenizer: there is none of tokenizer.json" in refusal(do, tiny_model_dir)


def test_an_adapter_beside_the_model_is_named(tiny_model_dir: Path) -> None:
    (tiny_model_dir / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/other"}))
    for check in CHECKS:
        assert "holds an adapter beside the model" in refusal(check, tiny_model_dir)


def saved(model: PreTrainedModel, tiny_llama, directory: Path) -> ModelSource:
    model.save_pretrained(directory)
    tiny_llama[1].save_pretrained(directory)
    return source_of(directory)


def test_layers_that_are_to_be_tuned_and_are_not_there_are_named(tiny_llama, tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=len(tiny_llama[1]), n_embd=32, n_layer=1, n_head=4, bos_token_id=1, eos_token_id=2)
    source = saved(GPT2LMHeadModel(config), tiny_llama, tmp_path)
    with pytest.raises(ModelError) as raised:
        check_model(source, lora_targets=ATTENTION_TARGETS)
    assert "q_proj, v_proj are not all in the model, a GPT2LMHeadModel; its linear layers are c_attn" in str(
        raised.value
    )
    check_model(source, lora_targets=("c_attn", "mlp.c_proj"))


def test_a_part_of_the_layers_is_not_enough(tiny_llama, tmp_path: Path) -> None:
    config = AutoConfig.for_model(
        "phi3", vocab_size=len(tiny_llama[1]), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=4, pad_token_id=0,
    )  # fmt: skip
    source = saved(AutoModelForCausalLM.from_config(config), tiny_llama, tmp_path)
    with pytest.raises(
        ModelError, match=r"q_proj, k_proj, v_proj, gate_proj, up_proj are not all in the model, a Phi3"
    ):
        check_model(source, lora_targets=ALL_LINEAR_TARGETS)


def test_granite_is_whole(tiny_llama, tmp_path: Path) -> None:
    config = GraniteConfig(
        vocab_size=len(tiny_llama[1]), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, tie_word_embeddings=True,
    )  # fmt: skip
    check_model(saved(GraniteForCausalLM(config), tiny_llama, tmp_path), lora_targets=ALL_LINEAR_TARGETS)


def test_of_a_hub_id_what_the_cache_holds_is_checked(tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a snapshot without weights the configuration is checked; one with bad weights is refused."""
    source = ModelSource(name="org/model", path="org/model", is_local=False, revision="0" * 40)
    monkeypatch.setattr("raycalib.lm.model_check.refuse_code", lambda source: None)
    monkeypatch.setattr("raycalib.lm.model_check.find_folder", lambda source: tiny_model_dir)
    read = read_settings
    monkeypatch.setattr(
        "raycalib.lm.model_files.read_settings",
        lambda asked, name: read(here(tiny_model_dir), name),  # the hub is not asked
    )
    check_model(source)
    rewrite(tiny_model_dir, lambda t: {name: x for name, x in t.items() if "norm" not in name})
    with pytest.raises(ModelError, match="5 tensors of LlamaForCausalLM not in the files"):
        check_model(source)
    (tiny_model_dir / WEIGHTS).unlink()
    check_model(source, lora_targets=ATTENTION_TARGETS)
    with pytest.raises(ModelError, match=r"c_attn are not all in the model, a LlamaForCausalLM"):
        check_model(source, lora_targets=("c_attn",))
    monkeypatch.setattr(LlamaForCausalLM, "get_output_embeddings", lambda self: None)
    with pytest.raises(ModelError, match=r"LlamaForCausalLM, whose query cannot be scored"):
        check_model(source)


def test_of_quantized_files_the_configuration_is_checked(tiny_model_dir: Path) -> None:
    configure(tiny_model_dir, "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(ModelError, match=r"c_attn are not all in the model, a LlamaForCausalLM"):
        check_model(source_of(tiny_model_dir), lora_targets=("c_attn",))


HYBRIDS: dict[str, tuple[str, dict[str, object]]] = {
    "lfm2": ("layers of the kind conv,", {"layer_types": ["conv", "full_attention"]}),
    "jamba": ("layers of the kind linear_attention,", {"attn_layer_period": 2, "attn_layer_offset": 1}),
    "granitemoehybrid": (
        "layers of the kind linear_attention,",
        {"layer_types": ["mamba", "attention"], "num_local_experts": 0, "mamba_n_heads": 4, "mamba_d_head": 16},
    ),
    "falcon_h1": ("layers of the kind hybrid,", {"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16}),
    "gpt_oss": ("its attention has sinks,", {"num_local_experts": 4, "head_dim": 16}),
}
TINY = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


def hub_snapshot(directory: Path, monkeypatch: pytest.MonkeyPatch, family: str, **more: object) -> ModelSource:
    """Of a model that nothing but the configuration is fetched of."""
    config = AutoConfig.for_model(family, vocab_size=64, num_key_value_heads=2, **TINY | more)
    config.save_pretrained(directory)
    read = read_settings
    for module in ("model_files", "remote_code"):
        monkeypatch.setattr(f"raycalib.lm.{module}.read_settings", lambda asked, name: read(here(directory), name))
    monkeypatch.setattr("raycalib.lm.model_check.find_folder", lambda source: directory)
    return ModelSource(name="org/model", path="org/model", is_local=False, revision="0" * 40)


@pytest.mark.parametrize("family", HYBRIDS)
def test_layers_that_read_packed_texts_into_one_another_are_refused_before_anything_is_fetched(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, more = HYBRIDS[family]
    source = hub_snapshot(tmp_path, monkeypatch, family, **more)
    check_model(source)  # its answers and its query are read text by text
    with pytest.raises(ModelError) as raised:
        check_model(source, lora_targets=ATTENTION_TARGETS)
    assert f"and cannot be tuned: it{'s' * said.startswith('its')} " in str(raised.value)
    assert said.removeprefix("its ") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_class_of_hybrids_with_layers_of_attention_alone_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Granite 4 Micro is one."""
    more = HYBRIDS["granitemoehybrid"][1] | {"layer_types": ["attention", "attention"]}
    check_model(hub_snapshot(tmp_path, monkeypatch, "granitemoehybrid", **more), lora_targets=ATTENTION_TARGETS)


def test_a_judge_that_only_its_engine_may_know_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = hub_snapshot(tmp_path, monkeypatch, "lfm2", layer_types=["conv", "full_attention"])
    configure(tmp_path, "config.json", model_type="of_tomorrow", architectures=["OfTomorrow"])
    check_model(source, is_scored=False)
    with pytest.raises(ModelError, match="cannot be loaded"):
        check_model(source)


def test_a_class_that_wants_values_of_its_tensors_is_left_to_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = hub_snapshot(tmp_path, monkeypatch, "llama")
    made = LlamaForCausalLM.__init__

    def reads(self: LlamaForCausalLM, config: LlamaConfig) -> None:
        made(self, config)
        self.lm_head.weight.sum().item()

    check_model(source, lora_targets=ATTENTION_TARGETS)
    monkeypatch.setattr(LlamaForCausalLM, "__init__", reads)
    check_model(source, lora_targets=("c_attn",))
    monkeypatch.setattr(LlamaForCausalLM, "__init__", made)
    with pytest.raises(ModelError, match="c_attn are not all in the model"):
        check_model(source, lora_targets=("c_attn",))


def test_attention_that_cannot_be_replaced_is_refused_for_tuning(tiny_llama, tmp_path: Path) -> None:
    source = saved(tiny_model("falcon", len(tiny_llama[1])), tiny_llama, tmp_path)
    check_model(source)
    with pytest.raises(ModelError, match=r"a FalconForCausalLM and cannot be tuned: its attention cannot be replaced"):
        check_model(source, lora_targets=("query_key_value",))
