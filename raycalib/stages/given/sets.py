"""Answers or labelled rows that exist already, written as the stages that would have made them. No Ray."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from raycalib.errors import DataError
from raycalib.records import ANSWER, LABELLED, QUESTION_VERSION, Row
from raycalib.sources.facts.splits import TEST
from raycalib.sources.given.given_source import GivenSource
from raycalib.sources.given.rows import RefusedGiven
from raycalib.sources.given.splits import TRAINING, set_of
from raycalib.stages.given.shards import RefusedSpools, SetKey, SetShards
from raycalib.stages.lines.progress import say
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place, text_slug
from raycalib.storage import Location, Manifest, read_manifest, write_manifest

GIVEN_SETS_VERSION = 1
"""Goes up where shards of the same rows come out otherwise; part of the stages' keys."""

REFUSED_NAME = "refused.jsonl"
FAULTS_SHOWN = 3
SCHEMAS: Mapping[str, pa.Schema] = {"answers": ANSWER, "labelled": LABELLED}


def write_given(
    source: GivenSource, *, styles: Sequence[str], model: str, out: Location, rows_per_shard: int
) -> dict[SetKey, StageOutput]:
    """The rows as finished stages, one per question set and style that has any.

    Of the training set a shard holds one split, and shards of ``train`` come first. Rows that cannot be used are listed
    in ``refused.jsonl`` beside the shards of their set and style, of the style's first set where theirs is not known:
    ``in`` = ``out`` + ``refused``.

    Args:
        source: the rows.
        styles: those that are wanted; rows of others are left.
        model: names the directories.
        out: the run's directory.
        rows_per_shard: at most so many.

    Returns:
        From (set, style), sets as in ``splits.set_of``, to its output; a style without rows has none.

    Raises:
        DataError: see ``GivenSource.rows``; too many rows are unusable, or none is of these styles. Refused rows are
            written all the same.
    """
    writing = _Writing(source, model, out, rows_per_shard)
    if done := writing.all_finished(styles):
        first = next(iter(done.values())).manifest
        _check_bad(source, Counter(first.details["read"]), first.details["faults"])
        return done
    say(source.describe())
    done, sets, tally = dict[SetKey, StageOutput](), dict[SetKey, SetShards](), _Tally()
    with RefusedSpools() as refused:
        for row in source.rows():
            tally.add(row)
            if isinstance(row, RefusedGiven):
                refused.add(row)
            elif row["style"] in styles:
                key = (set_of(row["split"]), row["style"])
                if key not in sets and key not in done:
                    writing.begin(key, done, sets)
                if key in sets:
                    sets[key].add(row)
        keys = _ordered([*done, *sets], styles)
        for key, content in refused.by_set(keys or [(TRAINING, styles[0])], styles).items():
            if key not in done:
                writing.list_refused(key, content, refused.counts[key])
    _check_bad(source, tally.counts, tally.faults)
    if not keys:
        raise DataError(
            f"{source.kind}: {source.place.text} has no rows of the style {' or '.join(styles)}; it has "
            f"{', '.join(sorted({style for _, style in tally.sets})) or 'none that can be used'}"
        )
    return {key: done.get(key) or writing.finish(key, sets[key], refused.counts[key], tally) for key in keys}


def _ordered(keys: Iterable[SetKey], styles: Sequence[str]) -> list[SetKey]:
    """Style after style, in each the training set first."""
    return sorted(keys, key=lambda key: (styles.index(key[1]), key[0] != TRAINING))


def _check_bad(source: GivenSource, counts: Mapping[str, int], faults: Sequence[str]) -> None:
    """Raises DataError if more rows are unusable than the source allows now."""
    bad, n_rows = counts["bad"], counts["rows"]
    if bad > source.max_bad_rows * n_rows:
        shown = "; ".join(faults) + ("; …" if bad > len(faults) else "")
        raise DataError(
            f"{source.kind}: {source.place.text}: {bad:,} of {n_rows:,} rows are unusable, more than the "
            f"{source.max_bad_rows:.3g} allowed: {shown}; mend them, or raise max_bad_rows"
        )


@dataclass
class _Tally:
    """What became of all rows that were read.

    Attributes:
        counts: rows, of these refused, and of these such as count as bad.
        sets: the sets and styles that have rows, wanted or not.
        faults: the first bad rows.
    """

    counts: Counter[str] = field(default_factory=lambda: Counter(rows=0, refused=0, bad=0))
    sets: dict[SetKey, None] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, row: Row | RefusedGiven) -> None:
        """Counts a row."""
        self.counts["rows"] += 1
        if not isinstance(row, RefusedGiven):
            self.sets[set_of(row["split"]), row["style"]] = None
            return
        self.counts["refused"] += 1
        if not row.expected:
            self.counts["bad"] += 1
            if len(self.faults) < FAULTS_SHOWN:
                self.faults.append(f"{row.place}: {row}")


@dataclass(frozen=True)
class _Writing:
    """Where the stages of a source go, and under which keys."""

    source: GivenSource
    model: str
    out: Location
    rows_per_shard: int

    def config(self, key: SetKey) -> dict[str, Any]:
        """What decides the stage."""
        return self._shared | {"set": key[0], "style": key[1]}

    @property
    def _shared(self) -> dict[str, Any]:
        return {
            **self.source.identity(),
            "records": QUESTION_VERSION,
            "rows_per_shard": self.rows_per_shard,
            "sets_version": GIVEN_SETS_VERSION,
        }

    def key(self, key: SetKey) -> str:
        """Of the stage."""
        return stage_key(self.source.kind, self.config(key), [])

    def place(self, key: SetKey) -> Location:
        """Of the stage."""
        variant = f"{text_slug(self.model)[-60:]}-{text_slug(key[0])[:40]}-{key[1]}"
        return stage_place(self.out, self.source.kind, variant, self.key(key))

    def finished(self, key: SetKey) -> StageOutput | None:
        """The stage where it is there."""
        return finished(self.place(key), self.key(key))

    def all_finished(self, styles: Sequence[str]) -> dict[SetKey, StageOutput]:
        """All outputs of these styles, empty where one of them is not finished; nothing is read but manifests."""
        for one in ((name, style) for style in styles for name in (TRAINING, TEST)):
            if manifest := read_manifest(self.place(one)):
                keys = _ordered([(name, of) for name, of in manifest.details["sets"] if of in styles], styles)
                found = {key: output for key in keys if (output := self.finished(key))}
                return found if len(found) == len(keys) else {}
        return {}

    def begin(self, key: SetKey, done: dict[SetKey, StageOutput], sets: dict[SetKey, SetShards]) -> None:
        """Takes up a set where it is not done yet."""
        if output := self.finished(key):
            done[key] = output
        else:
            say_why_again(self.place(key), f"{self.source.kind} {self.model} {' '.join(key)}", self.config(key))
            sets[key] = SetShards(self.place(key), SCHEMAS[self.source.kind], self.rows_per_shard)

    def list_refused(self, key: SetKey, content: bytes, n_rows: int) -> None:
        """Writes the list of refused rows beside the shards."""
        place = self.place(key)
        place.write_bytes(REFUSED_NAME, content)
        say(f"{self.source.kind}: {n_rows:,} rows refused, listed in {place.uri}/{REFUSED_NAME}")

    def finish(self, key: SetKey, rows: SetShards, n_refused: int, tally: _Tally) -> StageOutput:
        """The stage, once its last rows and its manifest are written."""
        shards = rows.finish()
        details = {
            "place": self.source.place.text,
            "notes": [self.source.describe()],
            "read": dict(tally.counts),
            "faults": tally.faults,
            "sets": [list(one) for one in tally.sets],
        }
        manifest = Manifest(
            stage=self.source.kind,
            key=self.key(key),
            config=self.config(key),
            shards=shards,
            counts={"in": rows.counts["out"] + n_refused, "refused": n_refused, **rows.counts},
            details=details,
        )
        write_manifest(rows.place, manifest)
        written = read_manifest(rows.place)
        assert written is not None, "it was just written"
        return StageOutput(place=rows.place, manifest=written, was_done=False)
