"""What a stage leaves behind and how the next one finds it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raycalib.errors import DataError, RaycalibError
from raycalib.hashing import stable_hash
from raycalib.records import Row
from raycalib.storage import Location, Manifest, lost_files, read_manifest, read_rows


class StageError(RaycalibError):
    """A stage could not be completed; what is done stays, and a rerun does the rest."""


@dataclass(frozen=True, kw_only=True)
class StageOutput:
    """A finished stage: where it lies, its key, its shards, and whether this run had to do anything."""

    place: Location
    manifest: Manifest
    was_done: bool

    @property
    def key(self) -> str:
        """Hash of the stage's configuration and inputs."""
        return self.manifest.key

    @property
    def shards(self) -> tuple[str, ...]:
        """File names of the shards, in order."""
        return self.manifest.shards

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """All rows, in order."""
        return read_rows(self.place, self.shards, columns)


def stage_key(stage: str, config: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """Hash of what decides a stage's result: its name, its configuration, the keys of its inputs."""
    return stable_hash(stage, dict(config), list(inputs))


def stage_place(out: Location, stage: str, variant: str, key: str) -> Location:
    """The stage's directory: another configuration has another one."""
    return out / stage / f"{variant}-{key[:10]}"


def text_slug(text: str) -> str:
    """A directory's name for any text."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in text.lower()).strip("-.") or "x"


def finished(place: Location, key: str) -> StageOutput | None:
    """The stage's output if it is complete: its manifest is there, and every file that this counts on is whole."""
    manifest = read_manifest(place)
    if manifest is None or manifest.key != key or lost_files(place, manifest):
        return None
    return StageOutput(place=place, manifest=manifest, was_done=True)


def drop_damaged_shards(place: Location, key: str) -> list[str]:
    """Removes shards of a stage that was finished and are of another size than they were written in.

    Returns:
        Names of all shards that are to be made again, those that are gone among them; empty for a stage that was not
        finished.
    """
    manifest = read_manifest(place)
    if manifest is None or manifest.key != key:
        return []
    lost = [name for name in lost_files(place, manifest) if name in manifest.shards]
    for name in lost:
        if place.exists(name):
            (place / name).remove()
    return lost


def check_whole(place: Location, manifest: Manifest) -> None:
    """Raises DataError where a stage that this run does not make has lost files."""
    if lost := lost_files(place, manifest):
        more = " …" if len(lost) > 3 else ""
        raise DataError(
            f"{place.uri}: {', '.join(lost[:3])}{more} of its manifest.json are gone or damaged; run again what made "
            "this directory, or copy it again"
        )
