"""What is given is held to the sizes of the model, by its configuration alone."""

from collections.abc import Callable
import copy
from pathlib import Path
import re

import pytest
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm.names import ModelSource, find_model
from raycalib.stages.given.methods import given_methods
from raycalib.stages.given.model_fit import check_methods_fit
from tests.stages.given import PAPERS, WIDTH, doubled, write_adapter, write_head, write_probe

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]


@pytest.fixture
def source(tiny_model_dir: Path) -> ModelSource:
    (tiny_model_dir / "model.safetensors").write_bytes(b"not read")
    return find_model(str(tiny_model_dir))


def resized(config: LlamaConfig, **changes: int) -> LlamaForCausalLM:
    other = copy.deepcopy(config)
    for name, value in changes.items():
        setattr(other, name, value)
    return LlamaForCausalLM(other)


def check(source: ModelSource, adapter: Path | None, probe: Path | None = None) -> None:
    adapters, probes = ([] if place is None else [str(place)] for place in (adapter, probe))
    check_methods_fit(given_methods(adapters, probes, [], model=source.name, style="oe"), source)


@pytest.mark.parametrize("changes", [{}, {"use_dora": False, "use_rslora": True, "lora_dropout": 0.1}])
def test_what_fits_passes(tiny_llama: TinyLlama, source: ModelSource, tmp_path: Path, changes: dict) -> None:
    model = copy.deepcopy(tiny_llama[0])
    check(source, write_adapter(tmp_path / "a", model, written=doubled, **PAPERS, **changes))
    check(source, write_head(write_adapter(tmp_path / "b", model)), write_probe(tmp_path / "c"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 3}, "4 of its 12 tensors have no place (base_model.model.model.layers.2."),
        (
            {"num_hidden_layers": 1},
            "0 of its 4 tensors have no place, 4 places have no tensor (base_model.model.model.",
        ),
        ({"hidden_size": 64, "head_dim": 8}, "4 of its 8 tensors have another shape (base_model.model.model.layers.0."),
        ({"num_key_value_heads": 4}, "2 of its 8 tensors have another shape (base_model.model.model.layers.0.self_at"),
    ],
)
def test_an_adapter_of_a_model_of_another_size_is_refused(
    tiny_llama: TinyLlama, source: ModelSource, tmp_path: Path, changes: dict[str, int], message: str
) -> None:
    place = write_adapter(tmp_path / "a", resized(tiny_llama[0].config, **changes))
    with pytest.raises(ModelError, match=re.escape(f"adapter: {place} does not fit the model: {message}")):
        check(source, place)


def test_targets_that_the_model_does_not_have_are_refused(
    tiny_llama: TinyLlama, source: ModelSource, tmp_path: Path
) -> None:
    place = write_adapter(tmp_path / "a", copy.deepcopy(tiny_llama[0]), target_modules=["c_attn"])
    with pytest.raises(ModelError, match=r"does not fit the model: Target modules .*c_attn"):
        check(source, place)


@pytest.mark.parametrize("write", [write_probe, write_head])
def test_a_classifier_of_another_width_is_refused(
    tiny_llama: TinyLlama, source: ModelSource, tmp_path: Path, write: Callable[..., Path]
) -> None:
    probe = write(tmp_path / "p", width=2 * WIDTH)
    with pytest.raises(ModelError, match=r"of 64 features, the model's states have 32; give the model and layer"):
        check(source, None, probe)
    lora = write(write_adapter(tmp_path / "a", copy.deepcopy(tiny_llama[0])), width=2 * WIDTH)
    with pytest.raises(ModelError, match=r"of 64 features, the model's states have 32"):
        check(source, lora)


def test_a_model_that_is_not_here_yet_is_left_to_the_workers(
    tiny_llama: TinyLlama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raycalib.stages.given.model_fit.find_folder", lambda source: None)
    place = write_adapter(tmp_path / "a", copy.deepcopy(tiny_llama[0]))
    check(ModelSource(name="org/model", path="org/model", is_local=False, revision="0af1"), place)
