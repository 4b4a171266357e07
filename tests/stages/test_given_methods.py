"""Names, identities and refusals of adapters, probes and temperatures that are given."""

from collections.abc import Callable
import copy
import math
from pathlib import Path
import pickle
import re
import shutil

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ConfigError, ModelError, RaycalibError
from raycalib.stages.given_copies import keep_method
from raycalib.stages.given_methods import GivenMethod, given_methods, method_identity, prediction_identity
from raycalib.storage import Location
from tests.stages.given import (
    PAPERS,
    WIDTH,
    doubled,
    write_adapter,
    write_head,
    write_predictions,
    write_probe,
    write_temperature,
    write_tuned,
)

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4000000\n"


@pytest.fixture(scope="module")
def places(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tests give; they take copies of what they change."""
    model, root = copy.deepcopy(tiny_llama[0]), tmp_path_factory.mktemp("places")
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
    assert predicted.slug == "probe"
    assert frozen.slug.startswith("probe--from-mistral-7b-choice--")


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
    assert prediction_identity(again[0]) == method_identity(first[0]) | {"name": "a", "log_temperature": None}
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


def test_temperatures_find_their_methods(places: Path) -> None:
    (alone,) = given((), ("@/own-probe",), ("1.7",), at=places)
    assert alone.temperature is not None
    assert alone.temperature.value == pytest.approx(1.7)
    assert (alone.temperature.n, math.isnan(alone.temperature.nll_before)) == (0, True)
    assert alone.tempered_name == "probe+given temperature"
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
    assert prediction_identity(found)["log_temperature"] == 0.5
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


@pytest.mark.parametrize("text", ["ftp://me:secret@host/adapter", "s3://bucket/a?token=secret"])
def test_a_place_with_a_secret_is_refused_without_showing_it(text: str) -> None:
    said = refusal(ConfigError, lambda: given_methods([text], [], [], model="llama2:7b", style="oe"))
    assert "secret" not in said


def cached(cache: Path, repository: str, files: Path, folder: str = "") -> None:
    """What the hub's client keeps of a repository."""
    place = cache / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    shutil.copytree(files, place / "snapshots" / COMMIT / folder)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's own cache in a directory, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_adapters_and_probes_of_the_hub_come_by_its_client(places: Path, offline: Path) -> None:
    cached(offline, "org/name-ct", places / "ct-oe")
    cached(offline, "org/several", places / "a+b", "deep/oe")
    cached(offline, "org/probes", places / "papers-probe")
    (plain,) = given(("@/ct-oe",), at=places)
    first, inside, pinned, probe = given(
        ("hub:org/name-ct", "hub:org/several:deep/oe", f"x=hub:org/name-ct@{COMMIT}"),
        ("hub:org/probes:classifier_head.safetensors",),
        at=places,
    )
    assert first.fingerprint == pinned.fingerprint == plain.fingerprint
    assert first.adapter == Location(f"{offline}/models--org--name-ct/snapshots/{COMMIT}")
    assert [method.name for method in (first, inside, pinned)] == ["lora_prompt", "adapter several deep oe", "x"]
    assert inside.origin == "from hub:org/several@0123456789:deep/oe"
    assert (probe.name, probe.kind, probe.head_name) == ("probe", "probe", "classifier_head.safetensors")


def test_only_the_wanted_files_of_a_repository_are_asked_for(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def snapshot(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repository, revision, allow_patterns))
        return str(places / "plain")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    given(("hub:org/name@v1",), at=places)
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda *names, **more: snapshot(*names, **more) and str(places)
    )
    given(
        ("hub:org/name@refs/pr/1:plain/",),
        ("hub:org/name:own-probe", "x=hub:org/name:own-probe/probe.safetensors"),
        at=places,
    )
    assert asked == [
        ("org/name", "v1", ["adapter_config.json", "adapter_model.safetensors"]),
        ("org/name", "refs/pr/1", ["plain/adapter_config.json", "plain/adapter_model.safetensors"]),
        ("org/name", None, ["own-probe/probe.safetensors"]),
        ("org/name", None, ["own-probe/probe.safetensors"]),
    ]


def test_a_copy_below_the_data_root_comes_before_the_hub(places: Path, offline: Path, tmp_path: Path) -> None:
    shutil.copytree(places / "plain", tmp_path / "data" / "org" / "name")
    (found,) = given_methods(["hub:org/name"], [], [], model="llama2:7b", style="oe", data_root=str(tmp_path / "data"))
    assert found.adapter == Location(f"{tmp_path}/data/org/name")
    assert not offline.exists()


def test_what_the_hub_does_not_have_is_refused(places: Path, offline: Path, tmp_path: Path) -> None:
    said = refusal(ModelError, lambda: given(("hub:org/absent",), at=places))
    assert "adapter: hub:org/absent is neither on the hub nor in its cache: Cannot find" in said
    assert "log in with `hf auth login`" in said
    (tmp_path / "pickled").mkdir()
    shutil.copy(places / "plain" / "adapter_config.json", tmp_path / "pickled")
    cached(offline, "org/pickled", tmp_path / "pickled")
    said = refusal(ModelError, lambda: given(("hub:org/pickled",), at=places))
    assert "there lie adapter_config.json; where the repository has pickles alone (.bin), convert them" in said


@pytest.mark.parametrize("text", ["hub:name", "hub:org/name:../x", "hub:org/name/deep", "hub:", "hub:org/name@"])
def test_what_is_no_name_on_the_hub_is_refused(places: Path, text: str) -> None:
    said = refusal(ConfigError, lambda: given((text,), at=places))
    assert f"adapter: {text!r} names nothing on the hub; allowed: hub:ORG/NAME, hub:ORG/NAME@REVISION or" in said


def test_a_probe_of_another_width_is_taken_and_named_where_it_is_used(tmp_path: Path) -> None:
    """Which model's states it is to read is known once that is loaded."""
    from raycalib.tuning.probe_files import load_probe

    write_probe(tmp_path / "wide", width=2 * WIDTH)
    (found,) = given((), ("@/wide",), at=tmp_path)
    assert found.head is not None
    with pytest.raises(ModelError, match=r"holds a probe of 64 features, the model's states have 32; give the model"):
        load_probe(found.head, found.head_name, WIDTH)
