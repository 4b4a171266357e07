"""A stage's manifest: written last, it says that the stage is complete and what made it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
import platform
import subprocess
from typing import Any

from raycalib.errors import DataError
from raycalib.storage.location import Location

MANIFEST_NAME = "manifest.json"
RECORDED_PACKAGES = ("ray", "torch", "transformers", "peft", "deepspeed", "pyarrow", "numpy")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a finished stage is.

    Attributes:
        stage: its name.
        key: hash of configuration and inputs; a stage with another key lives in another directory.
        config: the resolved configuration, plain values.
        inputs: keys of the stages it read.
        shards: file names that count, in order.
        counts: rows in, rows out, rows with an error, and what else the stage counts.
        details: what else is worth keeping, such as throughput.
        sizes: in bytes, of the files that make up the stage, shards among them, by name.
        finished: time in UTC.
        versions: of Python and the packages that matter.
        git_commit: of the working directory, if it is a repository.
    """

    stage: str
    key: str
    config: dict[str, Any]
    inputs: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    finished: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None


def write_manifest(place: Location, manifest: Manifest, besides: Sequence[str] = ()) -> None:
    """Writes the manifest with sizes, time, versions and commit filled in.

    Args:
        place: of the stage.
        manifest: what it is.
        besides: files and directories that make up the stage beside its shards.
    """
    values = asdict(manifest)
    kept = {*manifest.shards, *besides}
    values.update(
        sizes={name: size for name, size in place.sizes().items() if name in kept or name.split("/")[0] in kept},
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        git_commit=git_commit(),
    )
    place.write_json(MANIFEST_NAME, values)


def read_manifest(place: Location) -> Manifest | None:
    """The manifest, or None where the stage is not complete.

    Raises:
        DataError: the file is not a manifest.
    """
    if not place.exists(MANIFEST_NAME):
        return None
    values = place.read_json(MANIFEST_NAME)
    try:
        values["inputs"], values["shards"] = tuple(values["inputs"]), tuple(values["shards"])
        return Manifest(**values)
    except (KeyError, TypeError) as error:
        raise DataError(f"{place.uri}/{MANIFEST_NAME} is not a manifest ({error}); delete it and run again") from error


def lost_files(place: Location, manifest: Manifest) -> list[str]:
    """Names of the files that the manifest counts on and that are gone, or of another size than they were written in.

    A listing is all that it takes. What is damaged at its full size is found where it is read.
    """
    there = place.sizes()
    expected: dict[str, int | None] = dict.fromkeys(manifest.shards) | manifest.sizes
    return [name for name, size in expected.items() if name not in there or size not in (None, there[name])]


def versions() -> dict[str, str]:
    """Versions of Python, raycalib's Python packages that matter; packages that are absent are left out."""
    found = {"python": platform.python_version()}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of the working directory, ``-dirty`` behind it if files differ; None outside a repository."""
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None
