from dataclasses import replace
import os
from pathlib import Path
import re
import shutil

import pytest

from raycalib.errors import ModelError
from raycalib.lm import names
from raycalib.lm.names import HUB_IDS, ModelSource, embedded_root, find_model


def weights(directory: Path, content: bytes = b"weights") -> Path:
    """A directory that looks like a model."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    (directory / "tokenizer.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(content)
    return directory


def test_the_six_names_of_the_paper() -> None:
    assert {name: find_model(name).path for name in HUB_IDS} == {
        "llama2:7b": "meta-llama/Llama-2-7b-hf",
        "llama2:7b-chat": "meta-llama/Llama-2-7b-chat-hf",
        "llama2:13b": "meta-llama/Llama-2-13b-hf",
        "llama2:13b-chat": "meta-llama/Llama-2-13b-chat-hf",
        "mistral:7b": "mistralai/Mistral-7B-v0.1",
        "mistral:7b-instruct": "mistralai/Mistral-7B-Instruct-v0.2",
    }
    assert not any(find_model(name).is_local for name in HUB_IDS)


def test_a_model_root_holds_one_directory_per_name(tmp_path: Path) -> None:
    directory = weights(tmp_path / "mistral-7b-instruct")
    found = find_model("mistral:7b-instruct", str(tmp_path))
    assert found == ModelSource(name="mistral:7b-instruct", path=str(directory), is_local=True)


def test_a_model_root_leaves_other_names_alone(tmp_path: Path) -> None:
    assert find_model("Qwen/Qwen3-0.6B", str(tmp_path)).path == "Qwen/Qwen3-0.6B"


def test_the_embedded_root_lies_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert embedded_root() == Path(names.__file__).parent / "standins" / "weights"
    monkeypatch.setattr(names, "embedded_root", lambda: tmp_path)
    directory = weights(tmp_path / "llama2-7b")
    assert find_model("llama2:7b", "embedded").path == str(directory)


def test_a_hub_id() -> None:
    found = find_model("Qwen/Qwen3-0.6B")
    assert found == ModelSource(name="Qwen/Qwen3-0.6B", path="Qwen/Qwen3-0.6B", is_local=False)


def test_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = weights(tmp_path / "models" / "mine")
    assert find_model(str(directory)) == ModelSource(name=str(directory), path=str(directory), is_local=True)
    monkeypatch.chdir(tmp_path)
    relative = find_model("models/mine")  # looks like a hub id; the directory that exists comes first
    assert (relative.path, relative.is_local) == (str(directory), True)


@pytest.mark.parametrize("name", ["llama2", "gpt", "a/b/c", "./absent", "/absent/model", "../x/y"])
def test_an_unknown_name_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ModelError, match=f"model: {name!r} is unknown; allowed: llama2:7b, .*hub id .* or a directory"):
        find_model(name)


@pytest.mark.parametrize("lacking", ["config.json", "model.safetensors"])
def test_a_directory_without_weights_is_refused(tmp_path: Path, lacking: str) -> None:
    directory = weights(tmp_path / "llama2-7b")
    (directory / lacking).unlink()
    for name, root in ((str(directory), None), ("llama2:7b", str(tmp_path))):
        with pytest.raises(
            ModelError, match=rf"{directory} .*has no weights; it needs config\.json and \*\.safetensors"
        ):
            find_model(name, root)


def test_a_model_root_without_the_directory_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"'llama2:7b' has no directory {tmp_path}/llama2-7b"):
        find_model("llama2:7b", str(tmp_path))


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_the_fingerprint_changes_with_content(tmp_path: Path, file: str) -> None:
    source = find_model(str(weights(tmp_path / "m")))
    before = source.fingerprint()
    content = (tmp_path / "m" / file).read_bytes()
    (tmp_path / "m" / file).write_bytes(content[:-1] + b"!")
    assert source.fingerprint() != before
    (tmp_path / "m" / file).write_bytes(content)
    assert source.fingerprint() == before


def test_the_fingerprint_does_not_depend_on_place_time_or_other_files(tmp_path: Path) -> None:
    directory = weights(tmp_path / "m")
    before = find_model(str(directory)).fingerprint()
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    (copy / "README.md").write_text("about")
    os.utime(copy / "model.safetensors", ns=(1, 1))
    assert find_model(str(copy)).fingerprint() == before


def test_a_new_shard_changes_the_fingerprint(tmp_path: Path) -> None:
    source = find_model(str(weights(tmp_path / "m")))
    before = source.fingerprint()
    (tmp_path / "m" / "model-2.safetensors").write_bytes(b"")
    assert source.fingerprint() != before


def test_large_weights_count_by_size_and_blocks_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "HASHED_WHOLE_BYTES", 50)
    monkeypatch.setattr(names, "SAMPLED_BLOCKS", 3)
    monkeypatch.setattr(names, "BLOCK_BYTES", 4)
    content = bytes(range(100))
    file = weights(tmp_path / "m", content) / "model.safetensors"
    source = find_model(str(tmp_path / "m"))
    before = source.fingerprint()
    os.utime(file, ns=(2, 2))
    assert source.fingerprint() == before
    for place in (0, 3, 48, 51, 96, 99):  # blocks start at 0, 48 and 96
        file.write_bytes(content[:place] + b"!" + content[place + 1 :])
        assert source.fingerprint() != before, place
    file.write_bytes(content + b"!")
    assert source.fingerprint() != before


def test_hub_ids_have_fingerprints_of_their_own() -> None:
    assert len({find_model(name).fingerprint() for name in HUB_IDS}) == len(HUB_IDS)


def test_a_hub_ids_fingerprint_changes_with_its_revision() -> None:
    source = find_model("one/model")
    revisions = [replace(source, revision=revision) for revision in (None, "a" * 40, "b" * 40)]
    assert len({of_revision.fingerprint() for of_revision in revisions}) == len(revisions)


def test_slugs_are_file_names_and_differ() -> None:
    assert find_model("llama2:7b-chat").slug == "llama2-7b-chat"
    slugs = [find_model(name).slug for name in (*HUB_IDS, "one/model", "two/model", "one/mod el", "one/mod:el")]
    assert len(set(slugs)) == len(slugs)
    assert all(re.fullmatch(r"[\w.-]+", slug) for slug in slugs)
    assert re.fullmatch(r"model-[0-9a-f]{6}", find_model("one/model").slug)
