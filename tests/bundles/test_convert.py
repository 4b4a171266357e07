"""Adapters in exactly the layouts of the paper's code become bundles that are as sure as they were."""

import copy
import json
import os
from pathlib import Path
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from jobs.convert import main
from raycalib import CalibratedModel
from raycalib.bundles.paper_models import of_repository
from raycalib.errors import ConfigError, ModelError, RaycalibError
from raycalib.lm.adapters import load_adapter
from raycalib.lm.query_scoring import QueryScorer
from raycalib.storage import Location
from raycalib.tuning.probe import Probe
from tests.bundles.bundles import TinyLlama, adapter_of
from tests.bundles.hub_server import hub_server
from tests.bundles.test_hostile import RAN, Harm

QUESTIONS, ANSWERS = ["What is the capital of France?", "Why?"], ["Paris", "so"]
TEXTS = [f"Question: {question}\nAnswer:" for question in QUESTIONS]
PREFIX = "base_model.model."
LOG_TEMPERATURE = 0.37


def temperature_pt(place: Path) -> None:
    torch.save({"log_temperature": torch.tensor(LOG_TEMPERATURE)}, place / "temperature_model.pt")


def temperature_head(place: Path) -> None:
    torch.save({"log_temperature": torch.tensor([LOG_TEMPERATURE])}, place / "query_temperature_head.bin")


def temperature_safetensors(place: Path) -> None:
    tensors = {"1.log_temperature": torch.tensor(LOG_TEMPERATURE)}
    safetensors.torch.save_file(tensors, place / "temperature_model.safetensors")


@pytest.fixture
def released(tiny_llama: TinyLlama, tmp_path: Path) -> Path:
    """An adapter as the paper's authors released theirs: doubled prefixes, and embeddings with a row for [PAD]."""
    model, _ = tiny_llama
    plain = adapter_of(model, tmp_path / "plain").local_path
    place = tmp_path / "released"
    place.mkdir()
    config = json.loads((plain / "adapter_config.json").read_text())
    config |= {"peft_type": "CALIBRATED_LORA", "task_type": "CALIBRATED_CAUSAL_LM"}
    (place / "adapter_config.json").write_text(json.dumps(config))
    lora = safetensors.torch.load_file(plain / "adapter_model.safetensors")
    tensors = {f"{PREFIX}{key}": tensor for key, tensor in lora.items()}
    for name, module in (("model.embed_tokens", model.model.embed_tokens), ("lm_head", model.lm_head)):
        tensors[f"{PREFIX}{name}.weight"] = padded(module.weight.detach())
    safetensors.torch.save_file(tensors, place / "adapter_model.safetensors")
    return place


def padded(weight: Tensor) -> Tensor:
    return torch.cat([weight, weight.mean(dim=0, keepdim=True)]).contiguous()


def converted(released: Path, base: Path, out: Path, *flags: str) -> CalibratedModel:
    main(["--adapter", str(released), "--base", str(base), "--style", "oe", "--out", str(out), *flags])
    return CalibratedModel.from_pretrained(str(out))


@pytest.mark.parametrize("save", [temperature_pt, temperature_head, temperature_safetensors])
def test_it_is_as_sure_as_it_was(
    save: Any, released: Path, tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path
) -> None:
    model, tokenizer = tiny_llama
    save(released)
    found = converted(released, tiny_model_dir, tmp_path / "bundle").confidence(QUESTIONS, ANSWERS)
    plain = load_adapter(copy.deepcopy(model), Location(str(tmp_path / "plain")), "own").get_base_model()
    logits = QueryScorer(plain, tokenizer).score(TEXTS, ANSWERS).logits
    expected = 1 / (1 + np.exp(-(logits[:, 1] - logits[:, 0]) / np.exp(LOG_TEMPERATURE)))
    assert [each.p_correct for each in found] == pytest.approx(expected.tolist(), abs=1e-6)
    saved = safetensors.torch.load_file(tmp_path / "bundle" / "adapter_model.safetensors")
    assert all(".lora_" in name and not name.startswith(PREFIX * 2) for name in saved)
    files = {path.name for path in (tmp_path / "bundle").rglob("*") if path.is_file()}
    assert not [name for name in files if not name.endswith((".json", ".safetensors", ".md"))]


def test_other_weights_of_the_same_size_are_another_bundle(
    released: Path, tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path
) -> None:
    temperature_pt(released)
    first = converted(released, tiny_model_dir, tmp_path / "first").bundle.record.key
    again = converted(released, tiny_model_dir, tmp_path / "again").bundle.record.key
    other = adapter_of(tiny_llama[0], tmp_path / "other", seed=1).local_path
    temperature_pt(other)
    third = converted(other, tiny_model_dir, tmp_path / "third").bundle.record.key
    fourth = converted(adapter_of(tiny_llama[0], other, seed=2).local_path, tiny_model_dir, tmp_path / "fourth")
    assert first == again
    assert len({first, third, fourth.bundle.record.key}) == 3


def test_a_classifier_comes_with_its_adapter(
    released: Path, tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path
) -> None:
    model, tokenizer = tiny_llama
    torch.manual_seed(1)
    layers = nn.Sequential(Probe(32).layers)
    torch.save(layers.state_dict(), released / "classifier_model.bin")
    assert "0.0.weight" in layers.state_dict()
    temperature_pt(released)
    found = converted(released, tiny_model_dir, tmp_path / "bundle").confidence(QUESTIONS, ANSWERS)
    plain = load_adapter(copy.deepcopy(model), Location(str(tmp_path / "plain")), "own").get_base_model()
    states = torch.from_numpy(QueryScorer(plain, tokenizer).score(TEXTS, ANSWERS).states)
    with torch.no_grad():
        logits = layers(states).double().numpy()
    expected = 1 / (1 + np.exp(-(logits[:, 1] - logits[:, 0]) / np.exp(LOG_TEMPERATURE)))
    assert [each.p_correct for each in found] == pytest.approx(expected.tolist(), abs=1e-6)
    assert {each.method for each in found} == {"lora"}


def test_without_a_temperature_there_is_no_number_and_one_can_be_given(
    released: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    (found,) = converted(released, tiny_model_dir, tmp_path / "bare").confidence(["Why?"], ["so"])
    assert found.p_correct is None
    assert "no temperature among the files" in found.reason
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    temperature_head(elsewhere)
    flags = ("--temperature", str(elsewhere / "query_temperature_head.bin"))
    (found,) = converted(released, tiny_model_dir, tmp_path / "given", *flags).confidence(["Why?"], ["so"])
    assert found.p_correct is not None


def other_embeddings(place: Path) -> None:
    tensors = safetensors.torch.load_file(place / "adapter_model.safetensors")
    tensors[f"{PREFIX}lm_head.weight"][3] += 1
    safetensors.torch.save_file(tensors, place / "adapter_model.safetensors")


def hostile_temperature(place: Path) -> None:
    (place / "temperature_model.pt").write_bytes(pickle.dumps(Harm()))


def hostile_classifier(place: Path) -> None:
    torch.save({"0.weight": Harm()}, place / "classifier_model.bin")


@pytest.mark.parametrize(
    ("harm", "match"),
    [
        (other_embeddings, "neither LoRA's nor copies of the model's own"),
        (hostile_temperature, "no pickle of tensors alone"),
        (hostile_classifier, "no pickle of tensors alone"),
        (lambda place: torch.save({"x": torch.ones(2)}, place / "temperature_model.pt"), "no single number"),
        (lambda place: torch.save([torch.ones(2)], place / "temperature_model.pt"), "no tensors by name, but list"),
        (lambda place: torch.save({"log_temperature": torch.tensor(9.0)}, place / "temperature_model.pt"), "e^9.0"),
        (lambda place: torch.save({"a": torch.ones(2)}, place / "classifier_model.bin"), "holds no classifier"),
        (lambda place: (place / "adapter_config.json").write_text("{}"), "no LoRA adapter"),
    ],
)
def test_what_is_something_else_is_refused_and_leaves_no_bundle(
    harm: Any, match: str, released: Path, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harm(released)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=match.replace("^", r"\^")):
        converted(released, tiny_model_dir, tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "raycalib.json").exists()
    assert not (tmp_path / RAN).exists()


def test_a_released_adapter_is_asked_by_its_name(released: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    temperature_pt(released)
    (here,) = converted(released, tiny_model_dir, tmp_path / "bundle").confidence(["Why?"], ["so"])
    (released / "pytorch_model.bin").write_bytes(pickle.dumps(Harm()))
    code = (
        "import sys; from raycalib import CalibratedModel\n"
        "model = CalibratedModel.from_pretrained('paper:mistral:7b-instruct/oe', base=sys.argv[1])\n"
        "print(repr(model.confidence(['Why?'], ['so'])[0].p_correct))"
    )
    with hub_server() as hub:
        files = {path.name: path.read_bytes() for path in released.iterdir()}
        hub.repositories["model/calibration-tuning/Mistral-7B-Instruct-v0.2-ct-oe"] = files
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", code, str(tiny_model_dir)],
                cwd=tmp_path,
                env=os.environ | environment | {"HF_HUB_OFFLINE": "0"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert float(done.stdout) == pytest.approx(here.p_correct, abs=1e-6)
    (kept,) = (tmp_path / "home" / "raycalib").iterdir()
    assert kept.name.startswith("calibration-tuning--Mistral-7B-Instruct-v0.2-ct-oe-")
    assert not list((tmp_path / "home").rglob("pytorch_model.bin")), "nothing else is fetched"


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        ([], "adapter: name a place by --adapter"),
        (["--adapter", "x"], "out: name a place by --out"),
        (["--adapter", "x", "--out", "y"], "base, style: x does not say what it is"),
        (
            ["--adapter", "paper:gpt2/oe", "--out", "y"],
            "'paper:gpt2/oe' is none of the paper's; paper:MODEL/STYLE with",
        ),
    ],
)
def test_bad_input_is_one_line(flags: list[str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        main(flags)


def test_other_files_are_left_alone(released: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(RaycalibError, match="holds other files"):
        converted(released, tiny_model_dir, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("name", "base", "style"),
    [
        ("calibration-tuning/Mistral-7B-Instruct-v0.2-ct-oe", "mistral:7b-instruct", "oe"),
        ("/data/Llama-2-13b-hf-ct-choice/", "llama2:13b", "choice"),
    ],
)
def test_a_released_adapter_is_known_by_its_name(name: str, base: str, style: str) -> None:
    found = of_repository(name)
    assert found is not None
    assert (found.base, found.style) == (base, style)
    assert of_repository("someone/else") is None
