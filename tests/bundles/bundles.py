"""A bundle of the tiny model, made as a run makes one."""

from collections.abc import Mapping
import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.bundles.base import base_record
from raycalib.bundles.record import (
    BundleRecord,
    CalibrationKind,
    CalibrationRecord,
    FiguresRecord,
    MethodRecord,
    TrainedOn,
)
from raycalib.bundles.save import MethodFiles, save_bundle
from raycalib.lm.adapters import attach_lora, save_adapter
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.names import ModelSource
from raycalib.prompts import QUERY_VERSION
from raycalib.storage import Location
from raycalib.tuning.combined import Combined
from raycalib.tuning.platt import Platt
from raycalib.tuning.probe import Probe
from raycalib.tuning.probe_files import PROBE_TENSORS, save_probe
from raycalib.tuning.probe_fit import ProbeFit
from raycalib.tuning.temperature import Temperature

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
TEMPERATURE = Temperature(log_temperature=0.7, n=40, nll_before=0.7, nll_after=0.6)
WEIGHTS = Combined(signals=("lora_prompt", "probe"), weights=(0.4, 3.0), shift=-0.5, n=30)
PLATT = Platt(**asdict(TEMPERATURE), shift=-1.25)
METRICS: Mapping[str, Mapping[str, float | None]] = {
    "accuracy": {"value": 0.5, "low": 0.4, "high": 0.6},
    "ece": {"value": 0.05, "low": 0.02, "high": None},
}


def adapter_of(model: LlamaForCausalLM, place: Path, seed: int = 0) -> Location:
    """An adapter that changes what the model says."""
    adapted = attach_lora(copy.deepcopy(model), LoraSettings(rank=4, dropout=0.0), seed)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3)
    save_adapter(adapted, Location(str(place)))
    return Location(str(place))


def probe_of(n_features: int, place: Path, seed: int = 0) -> tuple[Location, str]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        probe = Probe(n_features)
    save_probe(Location(str(place)), ProbeFit(probe=probe, best_step=1, history=[(1, 0.5)]))
    return Location(str(place)), PROBE_TENSORS


def calibrated(reason: str = "", kind: CalibrationKind = "temperature") -> MethodRecord:
    calibration = CalibrationRecord(
        kind="none" if reason else kind,
        reason=reason,
        n=40,
        nll_before=None if reason else 0.7,
        nll_after=None if reason else 0.6,
    )
    return MethodRecord(
        calibration=calibration, figures=[FiguresRecord(set="test", n=100, n_unscored=1, metrics=METRICS)]
    )


def record_of(directory: Path, tokenizer: PreTrainedTokenizerFast, **changes: Any) -> BundleRecord:
    source = ModelSource(name="tiny", path=str(directory), is_local=True)
    values: dict[str, Any] = {
        "key": "0123456789abcdef",
        "base": base_record(source),
        "style": "oe",
        "query_version": QUERY_VERSION,
        "label_tokens": query_label_tokens(tokenizer),
        "dtype": "float32",
        "max_new_tokens": 8,
        "max_tokens": 400,
        "default": "lora_prompt",
        "methods": {"lora_prompt": calibrated(), "probe": calibrated()},
        "trained_on": TrainedOn(source="facts", grader="exact", k_shot=False, rows={"train": 100, "val_calibrate": 40}),
    }
    return BundleRecord(**(values | changes))


RNG = np.random.default_rng(3)
FEW_ROWS = RNG.normal(size=40), RNG.integers(0, 2, 40)


def made_bundle(
    tiny_llama: TinyLlama,
    model_dir: Path,
    folder: Path,
    rows: tuple[np.ndarray, np.ndarray] = FEW_ROWS,
    diagram: bytes | None = None,
    weights: Combined = WEIGHTS,
    **changes: Any,
) -> Location:
    """A bundle with an adapter and a probe; of the record, what is changed."""
    model, tokenizer = tiny_llama
    record = record_of(model_dir, tokenizer, **changes)
    log_odds, labels = rows
    adapters = {"lora_prompt": adapter_of(model, folder / "tuned"), "lora": adapter_of(model, folder / "lora", 1)}
    probes = {"probe": probe_of(32, folder / "fitted"), "lora": probe_of(32, folder / "head", 1)}
    scalings = {"none": None, "temperature": TEMPERATURE, "platt": PLATT}
    files = {
        name: MethodFiles(
            adapter=adapters.get(name),
            probe=probes.get(name),
            combined=weights if name == "combined" else None,
            temperature=scalings[method.calibration.kind],
            log_odds=log_odds,
            labels=labels,
        )
        for name, method in record.methods.items()
    }
    place = Location(str(folder / "bundle"))
    save_bundle(place, record, files, diagram)
    return place
