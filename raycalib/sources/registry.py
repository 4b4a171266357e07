"""From a source's name to its questions."""

from collections.abc import Iterator, Sequence
from functools import cache
import hashlib
from pathlib import Path

from raycalib.errors import DataError
from raycalib.hashing import stable_hash
from raycalib.records import Row
from raycalib.sources.facts.catalogue import all_families
from raycalib.sources.facts.questions import fact_questions
from raycalib.sources.facts.splits import SPLITS
from raycalib.sources.own_file import file_questions
from raycalib.sources.settings import SourceSettings

REQUIRED_SPLITS = ("train", "val_select", "val_calibrate", "test")


def draw_questions(settings: SourceSettings, styles: Sequence[str], seed: int) -> Iterator[tuple[str, str, list[Row]]]:
    """(split, style, rows) for every split and style that the source has.

    Raises:
        DataError: the source's file cannot be used, a style has no questions, or a needed split is empty.
    """
    for style in styles:
        for split in SPLITS:
            limit = settings.limits.get(split)
            if settings.name == "facts":
                rows = fact_questions(style, split, seed, limit)
            else:
                rows = file_questions(_path(settings.name), style, split, seed, limit)
            if not rows and split in REQUIRED_SPLITS:
                raise DataError(
                    f"source: {settings.name} has no {style} questions in split {split}; add rows, or name the split "
                    "of each row in a column 'split'"
                )
            if rows:
                yield split, style, rows


def check_source(settings: SourceSettings, styles: Sequence[str], seed: int) -> None:
    """Raises DataError if the source cannot be read or lacks questions of a style in a needed split."""
    if settings.name != "facts":
        for _ in draw_questions(settings, styles, seed):
            pass


def source_identity(settings: SourceSettings) -> dict[str, object]:
    """What decides the questions, for hashing."""
    return {
        "source": settings.name,
        "content": source_fingerprint(settings.name),
        "limits": dict(settings.limits),
    }


def source_fingerprint(name: str) -> str:
    """Changes when the source's questions do."""
    if name == "facts":
        return _facts_fingerprint()
    return hashlib.sha256(_path(name).read_bytes()).hexdigest()[:16]


@cache
def _facts_fingerprint() -> str:
    families = all_families()
    return stable_hash(
        [(f.name, f.phrasings, [(x.subject, x.answer, x.distractors) for x in f.facts]) for f in families.values()]
    )


def _path(name: str) -> Path:
    return Path(name.removeprefix("file:"))
