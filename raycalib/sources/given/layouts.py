"""From a place to its tables: which files hold the rows, in which order, and of which split each is."""

from collections.abc import Sequence
import json
from pathlib import Path
import re
from typing import NamedTuple

from raycalib.errors import DataError
from raycalib.sources.given.places import GivenPlace
from raycalib.sources.given.released import RELEASED_SPLITS
from raycalib.sources.given.splits import SPLIT_NAMES, meant
from raycalib.sources.hub.loading import hub_splits, hub_table
from raycalib.sources.reading import READERS, Table, local_table

OUTPUTS, LABELS = "outputs", "labels"
OFFLINE_SPLITS = ("train", "validation", "test")
RANK = re.compile(r"(?:rows_)?(\d+)\.csv")
PART_OF_SPLIT = re.compile(r"(.+)-\d{5}-of-\d{5}")
"""As the hub names the files of a split."""

SHARD = re.compile(r"(?:part|parked)-\d{5,}-[0-9a-f]{8}")
MANIFEST = "manifest.json"
SPLITS_MEANT = ", ".join(SPLIT_NAMES)


class Part(NamedTuple):
    """The rows of one table of a place.

    Attributes:
        table: the rows.
        split: what the place calls it; empty where the rows say, or nothing does.
    """

    table: Table
    split: str


def open_parts(place: GivenPlace, kind: str, data_root: str | None) -> tuple[Part, ...]:
    """The tables of a place, in the order of their rows.

    Args:
        place: where.
        kind: ``answers`` or ``labelled``: which part of the paper's layout is meant.
        data_root: local copies of what is on the hub; None asks the hub.

    Raises:
        DataError: nothing is there, or not what is expected.
    """
    if place.kind == "file":
        return (Part(local_table(Path(place.path)), ""),)
    if place.kind == "directory":
        return _directory(Path(place.path), f"{kind}: {place.text}")
    if place.kind == "offline":
        return _offline(Path(place.path), kind, place.text)
    if data_root is not None:
        directory = Path(data_root).joinpath(*place.hub_id.split("/"), *filter(None, [place.config]))
        if not directory.is_dir():
            raise DataError(
                f"{kind}: {place.text} is looked for in {directory}, which does not exist; put "
                f"{directory}/train.parquet and the like there, or leave out --data-root to ask the hub"
            )
        below = directory / "data"  # where the hub's own repositories have their files
        return _directory(below if below.is_dir() else directory, f"{kind}: {place.text}")
    return _on_the_hub(place, kind)


def _on_the_hub(place: GivenPlace, kind: str) -> tuple[Part, ...]:
    names: Sequence[str] = RELEASED_SPLITS
    if place.kind == "hub":
        names = hub_splits(place.text, place.hub_id, place.config)
        _check_splits(names, f"{kind}: {place.text}", "put those that you want below --data-root DIR")
    return tuple(Part(hub_table(place.text, place.hub_id, place.config, None, name), name) for name in names)


def _directory(path: Path, given: str) -> tuple[Part, ...]:
    """The files of a directory by name: of a finished stage its shards, of files with names of splits these splits."""
    if not path.is_dir():
        raise DataError(f"{given} is neither a directory nor a file ending in {', '.join(READERS)}; check the path")
    if (path / MANIFEST).is_file():
        return tuple(Part(local_table(path / name), "") for name in _shards(path / MANIFEST, given))
    files = sorted(file for file in path.iterdir() if file.suffix in READERS)
    if not files:
        raise DataError(f"{given} has no files ending in {', '.join(READERS)}")
    if any(SHARD.fullmatch(file.stem) for file in files):
        raise DataError(
            f"{given} has shards and no {MANIFEST}, so its stage is not finished and which of them count is not known; "
            "run the command that made it again to finish it, or copy the files that you want elsewhere under other "
            "names than part-…"
        )
    named = {file: _split_of_file(file) for file in files}
    if not any(named.values()):
        return tuple(Part(local_table(file), "") for file in files)
    _check_splits([name or file.stem for file, name in named.items()], given, "rename or take away the file")
    _check_once(list(named.items()), given)
    return tuple(Part(local_table(file), name) for file, name in named.items())


def _split_of_file(file: Path) -> str:
    """The split that a file's name is the name of, else empty."""
    found = PART_OF_SPLIT.fullmatch(file.stem)
    name = found[1] if found else file.stem
    return name if meant(name) else ""


def _check_once(named: Sequence[tuple[Path, str]], given: str) -> None:
    """Raises DataError where one split lies in files of two kinds: the one is likely a copy of the other."""
    stems: dict[str, Path] = {}
    for file, _ in named:
        other = stems.setdefault(file.stem, file)
        if other is not file:
            raise DataError(f"{given}: {other.name} and {file.name} are the same split; keep one")


def _check_splits(names: Sequence[str], given: str, way_out: str) -> None:
    unknown = [name for name in names if not meant(name)]
    if unknown:
        raise DataError(f"{given} has the split {unknown[0][:40]!r}; allowed: {SPLITS_MEANT}; {way_out}")
    if not names:
        raise DataError(f"{given} has no splits; needed: one of {SPLITS_MEANT}")


def _shards(manifest: Path, given: str) -> list[str]:
    """The file names that the manifest of a stage counts on.

    Raises:
        DataError: it is none, or a file is gone.
    """
    try:
        names = [str(name) for name in json.loads(manifest.read_text(encoding="utf-8"))["shards"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{given}: {manifest} is not a manifest ({error}); delete it and run again") from error
    gone = [name for name in names if not (manifest.parent / name).is_file()]
    if gone:
        raise DataError(f"{given}: {gone[0]} of its {MANIFEST} is gone; run again what made this directory")
    if not names:
        raise DataError(f"{given} is a finished stage without rows; name another")
    return names


def _offline(path: Path, kind: str, text: str) -> tuple[Part, ...]:
    """All ranks' files of all splits, in the order of their numbers."""
    wanted, other = (OUTPUTS, LABELS) if kind == "answers" else (LABELS, OUTPUTS)
    root = path / wanted if (path / wanted).is_dir() else path
    if not path.is_dir():
        raise DataError(f"{kind}: {text}: the directory {path} does not exist; check the path")
    parts = [
        Part(local_table(file), split)
        for split in OFFLINE_SPLITS
        if (root / split).is_dir()
        for file in _ranks(root / split, f"{kind}: {text}")
    ]
    if not parts:
        there = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        hint = ""
        if (path / other).is_dir():
            taken = "--answers" if other == OUTPUTS else "--labelled"
            hint = f"; its {other}/ come in by {taken} {text}"
        raise DataError(
            f"{kind}: {text} has no {wanted}/SPLIT/RANK.csv with a split of {', '.join(OFFLINE_SPLITS)}; it has "
            f"{there}{hint}"
        )
    return tuple(parts)


def _ranks(directory: Path, given: str) -> list[Path]:
    ranks: dict[int, Path] = {}
    for file in sorted(directory.iterdir()):
        if file.suffix != ".csv":
            continue  # embedding.npy may lie here too
        found = RANK.fullmatch(file.name)
        if found is None:
            raise DataError(
                f"{given}: {file} is no rank's file; allowed: rows_RANK.csv and RANK.csv; rename it or take it away"
            )
        if other := ranks.get(int(found[1])):
            raise DataError(f"{given}: {other} and {file} are of one rank; keep one")
        ranks[int(found[1])] = file
    return [ranks[rank] for rank in sorted(ranks)]
