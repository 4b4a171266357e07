"""Adapters and probes of the hub come by its client, or are refused."""

import copy
from pathlib import Path
import shutil

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import ConfigError, ModelError
from raycalib.stages.given.methods import given_methods
from raycalib.storage import Location
from tests.stages.given import (
    given,
    refusal,
    write_places,
)

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def places(tiny_llama: TinyLlama, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_places(tmp_path_factory.mktemp("places"), copy.deepcopy(tiny_llama[0]))


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
