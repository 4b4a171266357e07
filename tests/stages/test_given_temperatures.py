"""Temperatures that are given find their methods, or are refused."""

import copy
import math
from pathlib import Path
import pickle
import shutil

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ConfigError, ModelError
from raycalib.stages.given.methods import method_identity
from tests.stages.given import (
    given,
    refusal,
    write_places,
)

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]


@pytest.fixture(scope="module")
def places(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_places(tmp_path_factory.mktemp("places"), copy.deepcopy(tiny_llama[0]))


def test_temperatures_find_their_methods(places: Path) -> None:
    (alone,) = given((), ("@/own-probe",), ("1.7",), at=places)
    assert alone.temperature is not None
    assert alone.temperature.value == pytest.approx(1.7)
    assert (alone.temperature.n, math.isnan(alone.temperature.nll_before)) == (0, True)
    other, saved, none = given(
        ("@/run/tuned/mistral-7b-choice-ompt", "x=@/plain"),
        ("@/own-probe",),
        ("lora_prompt (from mistral:7b choice)=2", "x=@/temperature"),
        at=places,
    )
    assert other.temperature is not None
    assert saved.temperature is not None
    assert (other.temperature.value, saved.temperature.log_temperature) == (pytest.approx(2), 0.5)
    assert (saved.temperature.n, none.temperature) == (9, None)
    for text in (
        "@/run/predictions/llama2-7b-oe-0a1b/temperatures/lora_prompt",
        "@/temperature/temperature.safetensors",
    ):
        (found,) = given(("@/plain",), (), (text,), at=places)
        assert found.temperature is not None
        assert found.temperature.log_temperature in (0.25, 0.5)
    assert found.temperature.log_temperature == 0.5
    assert method_identity(found) == method_identity(saved)


@pytest.mark.parametrize(
    ("temperatures", "message"),
    [
        (["1.7"], "1.7 does not say of which method it is; give NAME=1.7, NAME of 'lora_prompt', 'probe'"),
        (
            ["zero_shot_query=1.7"],
            "'zero_shot_query' is no adapter or probe that is given; allowed: 'lora_prompt', 'pr",
        ),
        (["probe=1.7", "probe=1.8"], "'probe' has two temperatures; give one"),
        (["probe=0"], "temperature: 0 is not allowed; a number from 0.0025 to 403, or a directory with temperature.s"),
        (["probe=-1"], "-1 is not allowed"),
        (["probe=nan"], "nan is not allowed"),
        (["probe=inf"], "inf is not allowed"),
        (["probe=1e9"], "1e9 is not allowed"),
        (["probe="], "temperature: no place is given"),
    ],
)
def test_temperatures_that_are_refused(places: Path, temperatures: list[str], message: str) -> None:
    said = refusal(ConfigError, lambda: given(("@/plain",), ("@/own-probe",), tuple(temperatures), at=places))
    assert message in said


def test_a_temperature_without_a_method_is_refused(places: Path) -> None:
    assert "NAME of none, since no adapter or probe is given" in refusal(
        ConfigError, lambda: given((), (), ("1.7",), at=places)
    )


def test_places_without_a_temperature_are_refused(places: Path, tmp_path: Path) -> None:
    def said(text: str) -> str:
        return refusal(ModelError, lambda: given(("@/plain",), (), (text,), at=places))

    assert "temperature: " in said("@/nowhere")
    assert "@/plain holds no temperature.safetensors and temperature.json; there lie adapter_config.json".replace(
        "@", str(places)
    ) in said("@/plain")
    (tmp_path / "temperature_adapter.bin").write_bytes(pickle.dumps(pytest.fail))
    for text in (str(tmp_path), f"{tmp_path}/temperature_adapter.bin"):
        assert "temperature_adapter.bin is a pickle, which can run code" in said(text)
        assert "give its number: torch.load(FILE, weights_only=True)['log_temperature'].exp()" in said(text)
    place = shutil.copytree(places / "temperature", tmp_path / "half")
    (place / "temperature.json").unlink()
    assert "there lie temperature.safetensors" in said(str(place))
