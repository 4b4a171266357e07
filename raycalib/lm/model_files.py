"""The files of a model, in a directory or in the hub's cache; none is downloaded here but small ones of JSON."""

import json
from pathlib import Path
from typing import Any

import safetensors
from transformers.utils import cached_file

from raycalib.errors import ModelError
from raycalib.lm.names import ModelSource

WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
LARGEST_POINTER = 1024
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
LFS_SUFFIXES = (".safetensors", ".json", ".model", ".txt", ".jinja")


def find_folder(source: ModelSource) -> Path | None:
    """The directory with the model's files: its own, or of the hub's cache; None where the cache has nothing of it."""
    if source.is_local:
        return Path(source.path)
    try:
        config = cached_file(source.path, "config.json", revision=source.revision or "main", local_files_only=True)
    except (OSError, ValueError):
        return None
    return Path(config).parent


def read_settings(source: ModelSource, name: str) -> dict[str, Any]:
    """One of a model's JSON files; empty where there is none. Of a hub id, the file is fetched.

    Raises:
        ModelError: it is no JSON object.
    """
    try:
        path = cached_file(
            source.path,
            name,
            revision=source.revision or "main",
            local_files_only=source.is_local,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            _raise_exceptions_for_gated_repo=False,
        )
    except (OSError, ValueError):
        return {}
    if path is None:
        return {}
    check_no_pointer(Path(path), source)
    try:
        content = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model: {name} of {source.described} is damaged or cut short: {error}; download it again"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"model: {name} of {source.described} holds no JSON object; download it again")
    return content


def has_tokenizer(folder: Path) -> bool:
    """Whether a directory holds one of the files that a tokenizer is read from."""
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def is_pointer(content: bytes) -> bool:
    """Whether this is what Git LFS leaves in place of a large file that was not fetched."""
    return content.startswith(LFS_POINTER)


def check_no_pointer(path: Path, source: ModelSource) -> None:
    """Raises ModelError where a file is a Git LFS pointer in place of its content."""
    if path.stat().st_size > LARGEST_POINTER:
        return
    with path.open("rb") as file:
        if is_pointer(file.read(len(LFS_POINTER))):
            raise ModelError(
                f"model: {path.name} of {source.described} is a Git LFS pointer in place of the file; run "
                "`git lfs pull` in that directory, or download the model with `hf download`"
            )


def check_files(source: ModelSource, folder: Path) -> list[Path] | None:
    """The model's files of weights, each with a header that can be read and as long as that says.

    Only headers are read, so this takes as long for a large model as for a small one.

    Returns:
        The files; None where some are not in the hub's cache yet.

    Raises:
        ModelError: a file is missing from a directory, cut short, or no safetensors file.
    """
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in LFS_SUFFIXES:
            check_no_pointer(path, source)
    names = _weight_names(source, folder)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing and not source.is_local:
        return None
    if missing:
        raise ModelError(
            f"model: {', '.join(missing[:3])}{_more(missing)} of {source.described} {_are(missing)} not there; "
            "download the model again"
        )
    for name in names:
        try:
            with safetensors.safe_open(folder / name, framework="pt"):
                pass
        except (OSError, safetensors.SafetensorError) as error:
            cause, size = str(error).strip().split("\n")[0], (folder / name).stat().st_size
            raise ModelError(
                f"model: {name} of {source.described} is damaged or cut short ({size:,} bytes): {cause}; "
                "download it again"
            ) from error
    return [folder / name for name in names]


def _weight_names(source: ModelSource, folder: Path) -> list[str]:
    """The files that transformers would load: one, or those that the index names."""
    explicit = read_settings(source, "config.json").get("transformers_weights")
    if explicit:
        return [str(explicit)]
    if (folder / WEIGHTS).is_file() or not (folder / WEIGHTS_INDEX).is_file():
        return [WEIGHTS]
    of_tensors = read_settings(source, WEIGHTS_INDEX).get("weight_map")
    if not isinstance(of_tensors, dict) or not of_tensors:
        raise ModelError(f"model: {WEIGHTS_INDEX} of {source.described} has no weight_map; download it again")
    return sorted({str(name) for name in of_tensors.values()})


def _more(names: list[str]) -> str:
    return f" and {len(names) - 3} more" if len(names) > 3 else ""


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
