"""Weights of 8 and 4 bits, by bitsandbytes on the CPU: pip install -e '.[quant]' to run these."""

from pathlib import Path
import shutil
from typing import Any

import pytest
import safetensors.torch
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from raycalib.lm import loading
from raycalib.lm.loading import load_causal_lm
from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.names import ModelSource, WeightBits
from raycalib.storage import Location
from raycalib.tuning.hooks import Hooks, TuningData
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.trainer import Tuner
from raycalib.tuning.world import World
from tests.tuning.distributed_worker import toy_rows

pytest.importorskip("bitsandbytes")
TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
CLOSE = {8: 0.1, 4: 0.6}
"""Largest relative distance of logits from those of the weights as they are, of this model."""
pytestmark = pytest.mark.filterwarnings("ignore:MatMul8bitLt", "ignore:.*bitsandbytes", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def source(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> ModelSource:
    """A model whose layers are wide enough to be quantized in blocks."""
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tiny_llama[1]), initializer_range=0.2, **shape))
    path = tmp_path_factory.mktemp("model")
    model.save_pretrained(path)
    return ModelSource(name="tiny", path=str(path), is_local=True)


def weight_bytes(model: torch.nn.Module) -> int:
    return sum(part.numel() * part.element_size() for name, part in model.named_parameters() if "layers" in name)


@pytest.mark.parametrize("bits", [8, 4])
@torch.no_grad()
def test_weights_are_smaller_and_logits_near(source: ModelSource, bits: WeightBits) -> None:
    plain, small = load_causal_lm(source), load_causal_lm(source, bits=bits)
    assert weight_bytes(small) < weight_bytes(plain) * bits / 32 * 1.2
    ids = torch.arange(5, 60)[None]
    expected, found = plain(ids).logits, small(ids).logits
    assert 0 < (found - expected).norm() / expected.norm() < CLOSE[bits]


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_that_are_not_finite_are_named(source: ModelSource, tmp_path: Path, bits: WeightBits) -> None:
    """Read from the files: rounded to few bits, a NaN is a number."""
    shutil.copytree(source.path, tmp_path / "bad")
    file = tmp_path / "bad" / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = torch.nan
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"model\.safetensors of .* has: 1 tensor with values .*layers\.1\.mlp\.up_proj"
    ):
        load_causal_lm(ModelSource(name="bad", path=str(file.parent), is_local=True), bits=bits)


def make_tuner(tiny: TinyLlama, source: ModelSource, place: Path, bits: WeightBits, losses: list[Any]) -> Tuner:
    rows = toy_rows(tiny[1])
    lora = LoraSettings(rank=4, dropout=0.1)
    return Tuner(
        load_causal_lm(source, bits=bits),
        tiny[1],
        TuningData(train=rows[:8], val=rows[8:]),
        TuningSettings(steps=12, global_batch_size=8, micro_batch_size=8, lr=1e-2, log_every=1, lora=lora),
        seed=1,
        checkpoints=Location(str(place)),
        key="k",
        world=World(),
        hooks=Hooks(observe_step=losses.append),
    )


def test_an_adapter_is_tuned_on_eight_bits(tiny_llama: TinyLlama, source: ModelSource, tmp_path: Path) -> None:
    losses: list[Any] = []
    tuner = make_tuner(tiny_llama, source, tmp_path, 8, losses)
    frozen = {name: part.clone() for name, part in tuner.objective.named_parameters() if not part.requires_grad}
    tuner.run()
    assert losses[-1].query_loss < 0.7 * losses[0].query_loss
    for name, part in tuner.objective.named_parameters():
        assert part.requires_grad or torch.equal(part, frozen[name]), name


def test_gradients_that_get_lost_are_seen(tiny_llama: TinyLlama, source: ModelSource, tmp_path: Path) -> None:
    """bitsandbytes 0.50 packs 4-bit weights for the CPU at the first pass without gradients; later passes have none."""
    with pytest.raises(ModelError, match=r"no gradient reaches 8 of 8 tuned tensors, .*--tuning\.base-bits 16 or 8"):
        make_tuner(tiny_llama, source, tmp_path, 4, []).run()


def test_without_the_package_the_remedy_is_named(source: ModelSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"8 bits need .*raycalib\[quant\]"):
        load_causal_lm(source, bits=8)
