"""LoRA adapters in PEFT's own layout."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
import warnings

from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
import safetensors.torch
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from raycalib.errors import ModelError
from raycalib.lm.adapter_files import LORA, SavedLora, read_lora
from raycalib.lm.adapter_names import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from raycalib.lm.architecture import beside_text, check_targets
from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.weight_check import some
from raycalib.storage import Location


def attach_lora(model: PreTrainedModel, settings: LoraSettings, seed: int) -> PeftModel:
    """The model with a fresh adapter in place, everything else frozen; at first it changes nothing (B is zero).

    The adapter is in float32 and depends on the seed and on shapes alone.

    Raises:
        ModelError: a target is not in the model, or PEFT cannot adapt it.
    """
    check_targets(model, settings.targets)
    with torch.random.fork_rng(devices=[]), _known_warnings_ignored():
        try:
            adapted = get_peft_model(model, _peft_config(settings, beside_text(model)))
        except ValueError as error:
            raise ModelError(
                f"lora.targets: {', '.join(settings.targets)} are not all in the model: {error}"
            ) from error
        torch.manual_seed(seed)
        _draw(adapted)
        return adapted


def _draw(adapted: PeftModel) -> None:
    """A as PEFT draws it, but on the CPU and in float32: PEFT's is rounded to the model's dtype first."""
    for module in adapted.modules():
        if isinstance(module, LoraLayer):
            weight = module.lora_A["default"].weight
            drawn = torch.empty(weight.shape, dtype=torch.float32)
            nn.init.kaiming_uniform_(drawn, a=math.sqrt(5))
            weight.data.copy_(drawn)


@contextmanager
def _known_warnings_ignored() -> Iterator[None]:
    """PEFT 0.21 reads a property that transformers 5.23 has renamed, and only warns of tensors that are not there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        warnings.filterwarnings("ignore", message="Found missing adapter keys", category=UserWarning)  # an error here
        yield


def _peft_config(settings: LoraSettings, others: Sequence[str]) -> LoraConfig:
    """PEFT's settings; of modules that text does not pass, those that bear a target's name are left out."""
    named = [name for name in others if any(f".{name}".endswith(f".{target}") for target in settings.targets)]
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        exclude_modules=named or None,
        bias="none",
        task_type="CAUSAL_LM",
    )


def save_adapter(model: PeftModel, place: Location, weights: dict[str, Tensor] | None = None) -> None:
    """Writes the adapter in PEFT's layout: ``adapter_config.json`` and ``adapter_model.safetensors``.

    Args:
        model: with the adapter.
        place: directory to write to.
        weights: of the adapter, under the model's names, where others than the present ones are to be written.
    """
    with TemporaryDirectory() as folder:
        # Embeddings are never changed; "auto" would ask the hub for the base model's.
        model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False, state_dict=weights)
        config = json.loads((Path(folder) / ADAPTER_CONFIG).read_text())
        for name in ("target_modules", "exclude_modules"):  # PEFT keeps sets: their order is the hash seed's
            config[name] = config[name] and sorted(config[name])
        place.write_json(ADAPTER_CONFIG, config)
        place.write_bytes(ADAPTER_WEIGHTS, (Path(folder) / ADAPTER_WEIGHTS).read_bytes())


def load_adapter(model: PreTrainedModel | PeftModel, place: Location, name: str) -> PeftModel:
    """The model with a saved adapter under this name, beside others it may have.

    Raises:
        ModelError: the adapter cannot be read or does not fit the model; PEFT alone would skip tensors that have no
            place with a warning.
    """
    config, tensors = read_lora(place, model.get_base_model() if isinstance(model, PeftModel) else model)
    with TemporaryDirectory() as folder, _known_warnings_ignored():
        (Path(folder) / ADAPTER_CONFIG).write_text(json.dumps(config))
        safetensors.torch.save_file(tensors, Path(folder) / ADAPTER_WEIGHTS)
        try:
            if isinstance(model, PeftModel):
                loaded = model
                model.load_adapter(folder, adapter_name=name)
            else:
                loaded = PeftModel.from_pretrained(model, folder, adapter_name=name)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ModelError(f"adapter: {place.uri} does not fit the model: {_cause(error)}") from error
    _check_places(loaded, name, {key: tuple(tensor.shape) for key, tensor in tensors.items()}, place.uri)
    return loaded.eval()


def check_fits(saved: SavedLora, model: PreTrainedModel, uri: str) -> None:
    """Checks by names and shapes that an adapter fits a model, whose tensors may be on no device.

    What PEFT cannot build without weights is left to who loads them.

    Args:
        saved: the adapter, with copies of the base's tensors or without.
        model: gets the adapter's modules.
        uri: of the adapter, for messages.

    Raises:
        ModelError: it does not fit.
    """
    known = {field.name for field in fields(LoraConfig)}
    config = LoraConfig(**{name: value for name, value in saved.config.items() if name in known})
    try:
        with torch.random.fork_rng(devices=[]), _known_warnings_ignored():
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(f"adapter: {uri} does not fit the model: {_cause(error)}") from error
    except (NotImplementedError, RuntimeError):
        return
    shapes = {name: tuple(tensor.shape) for name, tensor in saved.tensors.items() if LORA in name}
    _check_places(adapted, "default", shapes, uri)


def _check_places(adapted: PeftModel, name: str, saved: Mapping[str, tuple[int, ...]], uri: str) -> None:
    """Checks that an adapter's tensors and the model's places for them are the same, of the same shapes."""
    # Embeddings that are adapted are the base's own, which were compared.
    places = get_peft_model_state_dict(adapted, adapter_name=name, save_embedding_layers=False)
    extra, lacking = sorted(set(saved) - set(places)), sorted(set(places) - set(saved))
    if extra or lacking:
        raise ModelError(
            f"adapter: {uri} does not fit the model: {len(extra)} of its {len(saved)} tensors have no "
            f"place{_shown(extra)}, {len(lacking)} places have no tensor{_shown(lacking)}; give the model that it was "
            "tuned on, or save it again with PEFT"
        )
    wrong = [
        f"{key} {saved[key]} in place of {tuple(part.shape)}"
        for key, part in places.items()
        if saved[key] != tuple(part.shape)
    ]
    if wrong:
        raise ModelError(
            f"adapter: {uri} does not fit the model: {len(wrong)} of its {len(saved)} tensors have another "
            f"shape{_shown(wrong)}; give the model that it was tuned on"
        )


def _cause(error: Exception) -> str:
    """What went wrong, in one line: of tensors of another shape, the first three."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    shapes = [line for line in lines if line.startswith("size mismatch for")]
    return f"{'; '.join(line.rstrip('.') for line in shapes[:3])} ({len(shapes)} in all)" if shapes else lines[0]


def _shown(names: list[str]) -> str:
    return f" ({some(names)})" if names else ""
