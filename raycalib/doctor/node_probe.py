"""What is asked on a node; plain values come back."""

from dataclasses import dataclass
import hashlib
from importlib.metadata import PackageNotFoundError, version
import json
import os
from pathlib import Path
import platform
import resource
import shutil
import subprocess
import sys
import time
from uuid import uuid4

import raycalib
from raycalib.errors import RaycalibError
from raycalib.lm.model_files import check_files, find_folder
from raycalib.lm.names import ModelSource
from raycalib.storage import Location

PACKAGES = ("ray", "torch", "transformers", "peft", "safetensors", "pyarrow", "numpy", "deepspeed")
SPEED_BYTES = 64 * 2**20
GPU_LIMIT_S = 180
ASK_GPUS = r"""
import json, torch
found = []
for index in range(torch.cuda.device_count()):
    device, of = torch.device("cuda", index), torch.cuda.get_device_properties(index)
    each = {"name": of.name, "bytes": of.total_memory, "fault": ""}
    try:
        left, right = torch.randn(2, 1024, 1024, generator=torch.Generator().manual_seed(1)).bfloat16()
        product, expected = (left.to(device) @ right.to(device)).float().cpu(), left.float() @ right.float()
        off = float((product - expected).abs().max() / expected.abs().max())
        each["fault"] = "" if off < 0.02 else f"a matrix product is off by {off:.2g} of its largest number"
    except Exception as error:
        each["fault"] = str(error).strip().splitlines()[0]
    found.append(each)
print(json.dumps(found))
"""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU as torch sees it, with what is wrong with it; nothing is where that is empty."""

    name: str
    bytes: int
    fault: str


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What a node has.

    Attributes:
        versions: of Python and of packages; a missing one has none. Of raycalib, a hash of its source.
        shm_bytes: size of /dev/shm; None where there is none.
        open_files: that a process may have.
        gpus: None where they were not asked for.
        gpu_fault: why they could not be asked.
        missing_weights: by the names of models, what is wrong with their weights here.
    """

    versions: dict[str, str]
    shm_bytes: int | None
    open_files: int
    gpus: tuple[Gpu, ...] | None
    gpu_fault: str
    missing_weights: dict[str, str]


class Probe:
    """An actor on a node."""

    def facts(self, with_gpus: bool, models: list[ModelSource]) -> NodeFacts:
        """See ``NodeFacts``."""
        gpus, fault = _gpus() if with_gpus else (None, "")
        return NodeFacts(
            versions=_versions(),
            shm_bytes=shutil.disk_usage("/dev/shm").total if Path("/dev/shm").is_dir() else None,
            open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            gpus=gpus,
            gpu_fault=fault,
            missing_weights={model.name: lack for model in models if (lack := _lack_of_weights(model))},
        )

    def clock(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def speed(self, out: Location) -> tuple[float, float]:
        """MB written to and read from the run's directory in a second; leaves nothing there."""
        place, content = out / f".speed-{uuid4().hex}", os.urandom(SPEED_BYTES)
        try:
            began = time.monotonic()
            place.write_bytes("file", content)
            written = time.monotonic()
            same = place.read_bytes("file") == content
            read = time.monotonic()
        finally:
            place.remove()
        if not same:
            raise RaycalibError(f"what is read from {out.uri} is not what was written there")
        return SPEED_BYTES / 1e6 / (written - began), SPEED_BYTES / 1e6 / (read - written)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "raycalib": source_hash(Path(raycalib.__file__).parent)}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def source_hash(package: Path) -> str:
    """Of all Python files, short."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:10]


def _gpus() -> tuple[tuple[Gpu, ...], str]:
    """All of the node's, in a process of their own: Ray may hide them from this one, and a broken one may end it."""
    own = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    try:
        said = subprocess.run(
            [sys.executable, "-c", ASK_GPUS], env=own, capture_output=True, text=True, timeout=GPU_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return (), f"its GPUs do not answer within {GPU_LIMIT_S} s"
    if said.returncode:
        lines = said.stderr.strip().splitlines() or [f"code {said.returncode}"]
        return (), f"torch cannot ask its GPUs: {lines[-1]}"
    return tuple(Gpu(**each) for each in json.loads(said.stdout)), ""


def _lack_of_weights(model: ModelSource) -> str:
    """Why a worker here could not load a model; empty where it could: from its directory, the cache or the hub."""
    if model.is_local and not Path(model.path).is_dir():
        return f"{model.path} is not there"
    folder = find_folder(model)
    try:
        if folder is not None and check_files(model, folder) is not None:
            return ""
    except RaycalibError as error:
        return str(error)
    return _lack_on_hub(model)


def _lack_on_hub(model: ModelSource) -> str:
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(model.path, revision=model.revision, timeout=20)
    except Exception as error:  # of the network, of the hub, of a licence that is not accepted
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"{model.path} is not in the cache, and the hub does not give it: {lines[0]}"
    return ""
