"""Names, identities and copies of adapters and probes that are given."""

import copy
from pathlib import Path
import shutil

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ConfigError, ModelError
from raycalib.stages.given.copies import keep_method
from raycalib.stages.given.methods import given_methods, method_identity
from raycalib.storage import Location
from tests.stages.given import (
    given,
    refusal,
    write_adapter,
    write_head,
    write_places,
)

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]


@pytest.fixture(scope="module")
def places(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_places(tmp_path_factory.mktemp("places"), copy.deepcopy(tiny_llama[0]))


@pytest.mark.parametrize(
    ("adapters", "probes", "names"),
    [
        (["@/plain"], [], ["lora_prompt"]),
        (["@/plain", "@/ct-oe"], [], ["lora_prompt", "adapter ct-oe"]),
        (["@/ct-oe", "@/a+b"], [], ["lora_prompt", "adapter a-b"]),
        (["mine=@/plain", "@/ct-oe"], [], ["mine", "lora_prompt"]),
        (["lora_prompt=@/plain"], [], ["lora_prompt"]),
        (["@/papers-lora", "@/plain"], [], ["lora", "lora_prompt"]),
        (["@/run/tuned/llama2-7b-oe-ompt"], [], ["lora_prompt"]),
        (["@/run/tuned/llama2-7b-oe-ompt/adapter"], [], ["lora_prompt"]),
        (["@/run/tuned/llama2-7b-oe-ompt/"], [], ["lora_prompt"]),
        (["@/run/tuned/llama2-7b-oe-lora"], [], ["lora"]),
        (["@/run/tuned/llama2-7b-oe-lora/adapter"], [], ["lora"]),
        (["@/run/tuned/mistral-7b-choice-ompt"], [], ["lora_prompt (from mistral:7b choice)"]),
        (["@/run/tuned/mistral-7b-choice-ompt/adapter"], [], ["lora_prompt (from mistral:7b choice)"]),
        (["@/run/tuned/mistral-7b-choice-lora"], [], ["lora (from mistral:7b choice)"]),
        (
            ["@/run/tuned/llama2-7b-oe-ompt", "@/run/tuned/mistral-7b-choice-ompt", "there=@/plain"],
            ["@/own-probe", "@/papers-probe"],
            ["lora_prompt", "lora_prompt (from mistral:7b choice)", "there", "probe", "probe papers-probe"],
        ),
        ([], ["@/own-probe/probe.safetensors"], ["probe"]),
        ([], ["p=@/papers-probe/classifier_head.safetensors"], ["p"]),
        ([], ["@/run/predictions/llama2-7b-oe-0a1b"], ["probe"]),
        ([], ["@/run/tuned/mistral-7b-choice-robe"], ["probe (from mistral:7b choice)"]),
        ([], ["@/run/tuned/llama2-7b-oe-robe/head"], ["probe"]),
    ],
)
def test_names(places: Path, adapters: list[str], probes: list[str], names: list[str]) -> None:
    found = given(tuple(adapters), tuple(probes), at=places)
    assert [method.name for method in found] == names


def test_another_style_or_model_is_named_by_where_it_comes_from(places: Path) -> None:
    tuned = ("@/run/tuned/llama2-7b-oe-ompt",)
    for other in ({"style": "choice"}, {"model": "mistral:7b"}):
        assert [method.name for method in given(tuned, at=places, **other)] == ["lora_prompt (from llama2:7b oe)"]


def test_kinds_files_and_origins(places: Path) -> None:
    run = places / "run" / "tuned"
    query, head, papers, probe, frozen, predicted = given(
        ("@/run/tuned/llama2-7b-oe-ompt", "@/run/tuned/llama2-7b-oe-lora", "x=@/papers-lora"),
        ("y=@/papers-probe", "@/run/tuned/mistral-7b-choice-robe", "@/run/predictions/llama2-7b-oe-0a1b"),
        at=places,
    )
    assert (query.kind, query.adapter, query.head) == ("query", Location(f"{run}/llama2-7b-oe-ompt/adapter"), None)
    assert query.origin == "from llama2:7b oe, tuned/llama2-7b-oe-ompt"
    assert (head.kind, head.head) == ("head", Location(f"{run}/llama2-7b-oe-lora/head"))
    assert (papers.kind, papers.adapter) == ("head", Location(f"{places}/papers-lora"))
    assert (papers.head, papers.head_name) == (papers.adapter, "classifier_head.safetensors")
    assert papers.origin == f"from {places}/papers-lora"
    assert (probe.kind, probe.adapter, probe.head_name) == ("probe", None, "classifier_head.safetensors")
    assert (frozen.head, frozen.head_name) == (
        Location(f"{run}/mistral-7b-choice-robe/head"),
        "probe.safetensors",
    )
    assert predicted.origin == "from llama2:7b oe, predictions/llama2-7b-oe-0a1b"


def test_a_relative_place_is_made_absolute(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(places)
    (found,) = given_methods(["plain"], [], [], model="llama2:7b", style="oe")
    assert found.adapter == Location(f"{places}/plain")


def test_a_place_may_hold_an_equals_sign(places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(places / "plain", tmp_path / "lr=1e-4" / "r=8")
    monkeypatch.chdir(tmp_path)
    for text, name in (
        (f"{tmp_path}/lr=1e-4/r=8", "lora_prompt"),
        ("lr=1e-4/r=8", "lora_prompt"),
        ("a=lr=1e-4/r=8", "a"),
    ):
        (found,) = given_methods([text], [], [], model="llama2:7b", style="oe")
        assert (found.name, found.adapter) == (name, Location(f"{tmp_path}/lr=1e-4/r=8"))


def test_places_on_an_object_store_are_read(places: Path) -> None:
    bucket = Location("memory://bucket/given")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (bucket / "ct=oe").write_bytes(name, (places / "ct-oe" / name).read_bytes())
    (there,), (here,) = (given((text,), at=places) for text in ("memory://bucket/given/ct=oe", "@/ct-oe"))
    assert there.adapter == bucket / "ct=oe"
    assert there.fingerprint == here.fingerprint


def test_the_identity_hangs_on_content_and_not_on_name_or_place(places: Path, tmp_path: Path) -> None:
    for name in ("ct-oe", "papers-lora", "own-probe"):
        shutil.copytree(places / name, tmp_path / "copies" / f"of-{name}")
    first = given(("@/ct-oe", "@/papers-lora"), ("@/own-probe",), at=places)
    again = given(("a=@/of-ct-oe", "b=@/of-papers-lora"), ("c=@/of-own-probe",), at=tmp_path / "copies")
    assert [method_identity(method) for method in again] == [method_identity(method) for method in first]
    assert len({method.fingerprint for method in first}) == 3
    assert set(method_identity(first[0])) == {"kind", "fingerprint"}
    write_head(tmp_path / "copies" / "of-papers-lora", seed=8)
    copied = tmp_path / "copies" / "of-ct-oe"
    for file, change in (("adapter_config.json", b" "), ("adapter_model.safetensors", b"\0\0\0\0")):
        content = (copied / file).read_bytes()
        (copied / file).write_bytes(content[: -len(change)] + change if len(change) > 1 else content + change)
        assert given(("@",), at=copied)[0].fingerprint != first[0].fingerprint
        (copied / file).write_bytes(content)
    assert given(("@/of-papers-lora",), at=tmp_path / "copies")[0].fingerprint != first[1].fingerprint


def test_a_kept_method_is_the_same_and_lies_in_the_run(places: Path, tmp_path: Path) -> None:
    shutil.copytree(places / "papers-lora", tmp_path / "there")
    out = Location(str(tmp_path / "out"))
    head, probe = given(("@/there",), (f"{places}/papers-probe",), at=tmp_path)
    kept, kept_probe = (keep_method(method, out) for method in (head, probe))
    place = out / "given" / head.fingerprint
    assert (kept.adapter, kept.head, kept.head_name) == (place / "adapter", place / "head", "probe.safetensors")
    assert (kept_probe.adapter, kept_probe.head) == (None, out / "given" / probe.fingerprint / "head")
    (again,) = given((place.uri,), at=tmp_path)
    assert method_identity(again) == method_identity(kept) == method_identity(head)
    before = {file: file.stat().st_mtime_ns for file in place.local_path.rglob("*.*")}
    assert len(before) == 3
    (place / "head").write_bytes("probe.safetensors", b"cut")
    assert keep_method(head, out) == kept == keep_method(kept, out)
    changed = [file.name for file, time in before.items() if file.stat().st_mtime_ns != time]
    assert changed == ["probe.safetensors"]
    write_head(tmp_path / "there", seed=5)
    assert "lora: its files have changed since they were read" in refusal(ModelError, lambda: keep_method(head, out))


@pytest.mark.parametrize(
    ("adapters", "taken", "message"),
    [
        (["a+b=@/plain"], [], r"adapter: the name 'a+b' is not allowed; printable, not empty, and without any of + ,"),
        (["=@/plain"], [], "adapter: the name '' is not allowed"),
        (["a\x1b[2J=@/plain"], [], r"adapter: the name 'a\\x1b[2J' is not allowed"),
        (["a,b=@/plain"], [], "adapter: the name 'a,b' is not allowed"),
        (["family_rate=@/plain"], [], "'family_rate' is the name of another method, and @/plain is none of that kind"),
        (["lora=@/plain"], [], "'lora' is the name of another method"),
        (["a=@/plain", "a=@/ct-oe"], [], "two methods are called 'a', @/ct-oe and another (from @/plain); give it a"),
        (
            ["@/plain", "@/run/tuned/llama2-7b-oe-ompt"],
            [],
            "two methods are called 'lora_prompt', @/run/tuned/llama2-7b-oe-ompt and another (from @/plain); give it a "
            "name of its own: --adapter NAME=@/run/tuned/llama2-7b-oe-ompt",
        ),
        (["@/plain"], ["lora_prompt"], "two methods are called 'lora_prompt', @/plain and another (the run has such a"),
    ],
)
def test_names_that_are_refused(places: Path, adapters: list[str], taken: list[str], message: str) -> None:
    said = refusal(ConfigError, lambda: given(tuple(adapters), at=places, taken=tuple(taken)))
    assert message.replace("@", str(places)) in said


@pytest.mark.parametrize(
    ("base", "model", "is_noted"),
    [
        ("meta-llama/Llama-2-7b-hf", "llama2:7b", False),
        ("meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-7b-hf", False),
        ("/data/llama2-7b/", "llama2:7b", False),
        ("/c/hub/models--meta-llama--Llama-2-7b-hf/snapshots/0af1", "llama2:7b", False),
        ("meta-llama/Llama-2-7b-hf", "llama2:7b-chat", True),
        ("meta-llama/Llama-2-7b-hf", "mistral:7b", True),
        ("/data/other", "/data/own", True),
        ("", "mistral:7b", False),
        (None, "mistral:7b", False),
    ],
)
def test_another_base_model_is_noted_and_no_fault(
    tiny_llama: TinyLlama, tmp_path: Path, base: str | None, model: str, is_noted: bool
) -> None:
    place = write_adapter(tmp_path / "given", copy.deepcopy(tiny_llama[0]), base_model_name_or_path=base)
    (found,) = given(("@",), at=place, model=model)
    expected = f"lora_prompt: the adapter was made for {base}, as its adapter_config.json says, and is evaluated on"
    assert found.note == (f"{expected} {model}" if is_noted else "")
