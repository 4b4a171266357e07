"""Places of adapters and probes that are refused, each in one line."""

from collections.abc import Callable
import copy
from pathlib import Path
import pickle
import shutil

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ModelError
from tests.stages.given import (
    WIDTH,
    given,
    refusal,
    write_head,
    write_places,
    write_probe,
)

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4000000\n"


@pytest.fixture(scope="module")
def places(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_places(tmp_path_factory.mktemp("places"), copy.deepcopy(tiny_llama[0]))


@pytest.mark.parametrize(
    ("adapters", "probes", "message"),
    [
        (["@/nowhere"], [], "adapter: @/nowhere does not exist or is empty; give a directory with adapter_config.json"),
        (["@/run"], [], "@/run holds no adapter_config.json and adapter_model.safetensors; there lie predictions, tun"),
        (["@/run/tuned"], [], "there lie llama2-7b-oe-lora, llama2-7b-oe-ompt, llama2-7b-oe-robe, mistral-7b-choice-l"),
        (["@/plain/adapter_model.safetensors"], [], "adapter_model.safetensors is a file; give the directory that ho"),
        (["@/own-probe"], [], "@/own-probe holds a classifier and no adapter; give it as --probe @/own-probe"),
        (["@/run/tuned/llama2-7b-oe-robe"], [], "-robe holds a classifier and no adapter; give it as --probe @/run/"),
        ([], ["@/nowhere"], "probe: @/nowhere does not exist or is empty; give a directory with probe.safetensors, or"),
        ([], ["@/run"], "probe: @/run holds no probe.safetensors, or another .safetensors file with a probe or a head"),
        ([], ["@/plain"], "probe: @/plain holds an adapter, and a classifier that was tuned together with one reads i"),
        ([], ["@/papers-lora"], "give both as --adapter @/papers-lora"),
        ([], ["@/papers-lora/classifier_head.safetensors"], "give both as --adapter @/papers-lora"),
        ([], ["@/run/tuned/llama2-7b-oe-lora"], "give both as --adapter @/run/tuned/llama2-7b-oe-lora"),
        ([], ["@/run/tuned/llama2-7b-oe-lora/head"], "give both as --adapter @/run/tuned/llama2-7b-oe-lora"),
        ([], ["@/own-probe/classifier.safetensors"], "holds no classifier.safetensors; there lie probe.safetensors"),
        ([], ["@/papers-probe/classifier_model.bin"], "classifier_model.bin is a pickle, which can run code when it i"),
    ],
)
def test_places_that_are_refused(places: Path, adapters: list[str], probes: list[str], message: str) -> None:
    said = refusal(ModelError, lambda: given(tuple(adapters), tuple(probes), at=places))
    assert message.replace("@", str(places)) in said


def pickled_weights(place: Path) -> None:
    (place / "adapter_model.safetensors").unlink()
    (place / "adapter_model.bin").write_bytes(pickle.dumps(pytest.fail))


def pickled_head(place: Path) -> None:
    (place / "classifier_model.bin").write_bytes(pickle.dumps(pytest.fail))


def pointer_in(name: str) -> Callable[[Path], None]:
    return lambda place: (place / name).write_text(POINTER) and None


def without(name: str) -> Callable[[Path], None]:
    return lambda place: (place / name).unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pickled_weights, "has its weights in adapter_model.bin, a pickle"),
        (
            pickled_head,
            "classifier_model.bin is a pickle, which can run code when it is read; where you trust it, conve",
        ),
        (
            pointer_in("adapter_config.json"),
            "adapter_config.json of @ is a Git LFS pointer in place of the file; run `",
        ),
        (pointer_in("adapter_model.safetensors"), "adapter_model.safetensors of @ is a Git LFS pointer"),
        (
            without("adapter_config.json"),
            "@ holds no adapter_config.json and adapter_model.safetensors; there lie adap",
        ),
        (without("adapter_model.safetensors"), "@ holds no adapter_config.json and adapter_model.safetensors; there l"),
        (
            lambda place: write_head(write_head(place), "other.safetensors"),
            "several classifiers, classifier_head.safet",
        ),
        (lambda place: (place / "adapter_config.json").write_text("{"), "adapter: @ cannot be read"),
        (lambda place: (place / "adapter_config.json").write_text('{"peft_type": "IA3"}'), "@ is no LoRA adapter"),
    ],
)
def test_adapters_that_are_refused(places: Path, tmp_path: Path, change: Callable[[Path], None], message: str) -> None:
    place = Path(shutil.copytree(places / "plain", tmp_path / "given"))
    change(place)
    said = refusal(ModelError, lambda: given(("@",), at=place))
    assert message.replace("@", str(place)) in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda place: write_head(place), "holds several classifiers, classifier_head.safetensors, probe.safetensors"),
        (pointer_in("probe.safetensors"), "probe.safetensors is a Git LFS pointer in place of the file"),
        (pointer_in("head.safetensors"), "head.safetensors is a Git LFS pointer in place of the file"),
        (lambda place: write_probe(place).joinpath("probe.safetensors").write_bytes(b"PK"), "no safetensors file"),
        (lambda place: (without("probe.safetensors")(place), pickled_head(place)), "classifier_model.bin is a pickle"),
    ],
)
def test_probes_that_are_refused(places: Path, tmp_path: Path, change: Callable[[Path], None], message: str) -> None:
    place = Path(shutil.copytree(places / "own-probe", tmp_path / "given"))
    change(place)
    assert message in refusal(ModelError, lambda: given((), ("@",), at=place))


def test_an_adapter_of_lora_without_its_classifier_is_refused(places: Path, tmp_path: Path) -> None:
    place = shutil.copytree(places / "run" / "tuned" / "llama2-7b-oe-lora", tmp_path / "tuned" / "x")
    shutil.rmtree(place / "head")
    said = refusal(ModelError, lambda: given(("@",), at=place))
    assert f"tuned together with a classifier, which is not in head/probe.safetensors of {place}; copy it" in said


def test_without_a_manifest_the_classifier_beside_still_belongs_to_the_adapter(places: Path, tmp_path: Path) -> None:
    place = shutil.copytree(places / "run" / "tuned" / "llama2-7b-oe-lora", tmp_path / "tuned" / "x")
    (place / "manifest.json").unlink()
    first, second = given(("a=@", "@/adapter"), at=place)
    assert (first.kind, second.kind, second.name) == ("head", "head", "lora")
    assert given((f"{places}/papers-lora", "@/adapter"), at=place)[1].name == "adapter x"


@pytest.mark.parametrize("content", ["{", "[]", '{"config": 3}', '{"config": {"model": "llama2:7b"}}'])
def test_a_manifest_that_is_none_says_nothing_of_the_origin(places: Path, tmp_path: Path, content: str) -> None:
    place = shutil.copytree(places / "plain", tmp_path / "given")
    (place / "manifest.json").write_text(content)
    assert given(("@",), at=place)[0].origin == f"from {place}"


def test_a_probe_of_another_width_is_taken_and_named_where_it_is_used(tmp_path: Path) -> None:
    """Which model's states it is to read is known once that is loaded."""
    from raycalib.tuning.probe_files import load_probe

    write_probe(tmp_path / "wide", width=2 * WIDTH)
    (found,) = given((), ("@/wide",), at=tmp_path)
    assert found.head is not None
    with pytest.raises(ModelError, match=r"holds a probe of 64 features, the model's states have 32; give the model"):
        load_probe(found.head, found.head_name, WIDTH)
