"""Adapters, classifiers, temperatures and runs of them on disk, as tests give them."""

from collections.abc import Callable
from itertools import pairwise
import json
from pathlib import Path
import re
from typing import Any

from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from raycalib.errors import RaycalibError
from raycalib.stages.given.methods import GivenMethod, given_methods
from raycalib.storage import Location, Manifest, write_manifest
from raycalib.tuning.probe import Probe
from raycalib.tuning.temperature import Temperature
from raycalib.tuning.temperature_files import save_temperature

WIDTH = 32
"""Of the tiny model's states."""

DOUBLED = "base_model.model.base_model.model."
PAPERS = {
    "peft_type": "CALIBRATED_LORA",
    "task_type": "CALIBRATED_CAUSAL_LM",
    "query_format": "roman_choice",
    "use_temperature": False,
}
"""What the paper's code writes beside PEFT's own settings."""


def doubled(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("base_model.model.", DOUBLED, 1): tensor for name, tensor in tensors.items()}


def write_adapter(
    place: Path,
    model: PreTrainedModel,
    seed: int = 0,
    written: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict,
    **changes: Any,
) -> Path:
    """A random adapter of the model, written by PEFT alone; the model is left as it was."""
    place.mkdir(parents=True)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]))
    drawn = torch.Generator().manual_seed(seed)
    tensors = {
        name: 0.2 * torch.randn(tensor.shape, generator=drawn)
        for name, tensor in get_peft_model_state_dict(adapted, save_embedding_layers=False).items()
    }
    adapted.peft_config["default"].save_pretrained(str(place))
    adapted.unload()
    config = place / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"base_model_name_or_path": None} | changes))
    safetensors.torch.save_file(written(tensors), place / "adapter_model.safetensors")
    return place


def papers_head(width: int = WIDTH, seed: int = 0) -> nn.Sequential:
    """The classifier of the paper's code, written out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = (width, 256, 128, 64)
        parts = [part for before, after in pairwise(sizes) for part in _layer(before, after)]
        return nn.Sequential(*parts, nn.Linear(64, 2)).eval()


def _layer(before: int, after: int) -> tuple[nn.Module, nn.Module]:
    return nn.Linear(before, after), nn.ReLU()


def write_head(place: Path, name: str = "classifier_head.safetensors", width: int = WIDTH, seed: int = 0) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(papers_head(width, seed).state_dict(), place / name)
    return place


def write_probe(place: Path, width: int = WIDTH, seed: int = 0) -> Path:
    """A probe of raycalib's, with a standardization."""
    place.mkdir(parents=True, exist_ok=True)
    probe = Probe(width)
    probe.layers.load_state_dict(papers_head(width, seed).state_dict())
    drawn = torch.Generator().manual_seed(seed)
    probe.mean.copy_(torch.randn(width, generator=drawn))
    probe.scale.copy_(0.5 + torch.rand(width, generator=drawn))
    safetensors.torch.save_file(probe.state_dict(), place / "probe.safetensors")
    return place


def write_temperature(place: Path, log_temperature: float = 0.5) -> Path:
    save_temperature(
        Location(str(place)), Temperature(log_temperature=log_temperature, n=9, nll_before=0.7, nll_after=0.6)
    )
    return place


def write_tuned(
    run: Path, model: PreTrainedModel, method: str, *, name: str = "llama2:7b", style: str = "oe", seed: int = 0
) -> Path:
    """The directory of a combo that was tuned by a method."""
    place = run / "tuned" / f"{name.replace(':', '-')}-{style}-{method[-4:]}"
    if method != "probe":
        write_adapter(place / "adapter", model, seed)
    if method != "lora_prompt":
        write_probe(place / "head", seed=seed)
    config = {"model": name, "style": style, "seed": 1, "settings": {"method": method}}
    write_manifest(Location(str(place)), Manifest(stage="tuned", key="k", config=config), besides=("adapter", "head"))
    return place


def write_predictions(run: Path, *, name: str = "llama2:7b", style: str = "oe") -> Path:
    """The directory of predictions, as far as its probe and temperatures go."""
    place = write_probe(run / "predictions" / f"{name.replace(':', '-')}-{style}-0a1b")
    write_temperature(place / "temperatures" / "lora_prompt", 0.25)
    manifest = Manifest(stage="predictions", key="k", config={"model": name, "style": style, "methods": ["probe"]})
    write_manifest(Location(str(place)), manifest, besides=("probe.safetensors", "temperatures"))
    return place


def write_places(root: Path, model: PreTrainedModel) -> Path:
    """What tests give; they take copies of what they change."""
    write_adapter(root / "plain", model, 0)
    write_adapter(root / "ct-oe", model, 1, doubled, **PAPERS, base_model_name_or_path="meta-llama/Llama-2-7b-hf")
    write_adapter(root / "a+b", model, 2)
    write_head(write_adapter(root / "papers-lora", model, 3, doubled, **PAPERS))
    write_probe(root / "own-probe")
    write_head(root / "papers-probe")
    for method in ("lora_prompt", "lora", "probe"):
        write_tuned(root / "run", model, method)
        write_tuned(root / "run", model, method, name="mistral:7b", style="choice")
    write_predictions(root / "run")
    write_temperature(root / "temperature")
    return root


def given(
    adapters: tuple[str, ...] = (),
    probes: tuple[str, ...] = (),
    temperatures: tuple[str, ...] = (),
    *,
    at: Path,
    model: str = "llama2:7b",
    style: str = "oe",
    taken: tuple[str, ...] = (),
) -> list[GivenMethod]:
    """The methods of places below a directory; ``@`` where a place begins stands for it."""
    filled = [[re.sub("^@|(?<==)@", str(at), text) for text in texts] for texts in (adapters, probes, temperatures)]
    return given_methods(*filled, model=model, style=style, taken=taken)


def refusal(error: type[RaycalibError], do: Callable[[], object]) -> str:
    with pytest.raises(error) as raised:
        do()
    message = str(raised.value)
    assert "\n" not in message
    return message
