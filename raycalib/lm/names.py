"""Which weights a model name stands for: the paper's six names, any hub id, any directory."""

from dataclasses import dataclass
import hashlib
from pathlib import Path
from typing import Literal, get_args

from raycalib.errors import ModelError, UnknownModelError
from raycalib.hashing import stable_hash

DtypeName = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES: tuple[str, ...] = get_args(DtypeName)
WeightBits = Literal[16, 8, 4]
WEIGHT_BITS: tuple[int, ...] = get_args(WeightBits)
"""Precision of a model's weights; ``auto`` is bfloat16 on a GPU and float32 on a CPU."""

HUB_IDS = {
    "llama2:7b": "meta-llama/Llama-2-7b-hf",
    "llama2:7b-chat": "meta-llama/Llama-2-7b-chat-hf",
    "llama2:13b": "meta-llama/Llama-2-13b-hf",
    "llama2:13b-chat": "meta-llama/Llama-2-13b-chat-hf",
    "mistral:7b": "mistralai/Mistral-7B-v0.1",
    "mistral:7b-instruct": "mistralai/Mistral-7B-Instruct-v0.2",
}
"""The six names of the paper."""

EMBEDDED_ROOT = "embedded"
"""The model root that names the stand-ins which come with the package."""

HASHED_WHOLE_BYTES = 64 * 2**20
SAMPLED_BLOCKS, BLOCK_BYTES = 64, 2**20


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """Where a model's weights and tokenizer come from.

    Attributes:
        name: as the user wrote it.
        path: a local directory, or a hub id.
        is_local: whether ``path`` is a directory.
        revision: the full commit of a hub id, once it has been looked up; all workers load this one.
    """

    name: str
    path: str
    is_local: bool
    revision: str | None = None

    @property
    def slug(self) -> str:
        """The name as a part of a file name."""
        if self.name in HUB_IDS:
            return self.name.replace(":", "-")
        kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in Path(self.name).name)
        return f"{kept}-{stable_hash(self.name)[:6]}"

    @property
    def described(self) -> str:
        """The name in quotes, and where it lies if the name does not say so; for messages."""
        return repr(self.name) if self.name == self.path else f"{self.name!r} ({self.path})"

    def fingerprint(self) -> str:
        """Changes when the weights do: a local directory's files, hashed; a hub id with its revision.

        Of files above 64 MiB, size and 64 evenly spaced blocks of 1 MiB count, since hashing them whole takes minutes.
        """
        if not self.is_local:
            return stable_hash("hub", self.path, self.revision)
        kinds = {".json", ".safetensors", ".model"}
        files = [file for file in sorted(Path(self.path).glob("*")) if file.suffix in kinds]
        return stable_hash("local", [(file.name, file.stat().st_size, _digest(file)) for file in files])


def _digest(file: Path) -> str:
    """SHA-256 of a file, or of blocks of a large one: the first, the last and evenly spaced ones between."""
    size = file.stat().st_size
    if size <= HASHED_WHOLE_BYTES:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    with file.open("rb") as content:
        for block in range(SAMPLED_BLOCKS):
            content.seek((size - BLOCK_BYTES) * block // (SAMPLED_BLOCKS - 1))
            digest.update(content.read(BLOCK_BYTES))
    return digest.hexdigest()


def embedded_root() -> Path:
    """The directory of the stand-ins that come with the package."""
    return Path(__file__).parent / "standins" / "weights"


def find_model(name: str, model_root: str | None = None) -> ModelSource:
    """Resolves a model name.

    Args:
        name: one of the six names, a hub id (``org/model``), or a directory.
        model_root: a directory with one directory per name (``llama2:7b`` → ``llama2-7b``), or ``embedded`` for the
            stand-ins that come with the package. None asks the hub.

    Raises:
        ModelError: an unknown name, or a directory without weights.
    """
    if model_root is not None and name in HUB_IDS:
        root = embedded_root() if model_root == EMBEDDED_ROOT else Path(model_root)
        return _local(name, root / name.replace(":", "-"))
    if name in HUB_IDS:
        return ModelSource(name=name, path=HUB_IDS[name], is_local=False)
    if Path(name).is_dir():
        return _local(name, Path(name))
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return ModelSource(name=name, path=name, is_local=False)
    raise UnknownModelError(
        f"model: {name!r} is unknown; allowed: {', '.join(HUB_IDS)}, a hub id (org/name) or a directory of weights"
    )


def _local(name: str, directory: Path) -> ModelSource:
    if not directory.is_dir():
        raise ModelError(
            f"model: {name!r} has no directory {directory}; put config.json, tokenizer files and *.safetensors there, "
            f"or choose another --model-root"
        )
    if not (directory / "config.json").is_file() or not any(directory.glob("*.safetensors")):
        raise ModelError(
            f"model: the directory {directory} of {name!r} has no weights; it needs config.json and *.safetensors"
        )
    return ModelSource(name=name, path=str(directory.absolute()), is_local=True)
