"""The first stage: questions of a source, written as shards while they are read. No Ray."""

from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
import json
import tempfile

from raycalib.records import QUESTION, QUESTION_VERSION, Row
from raycalib.secrets import hide_all
from raycalib.sources import (
    DrawTally,
    QuestionSet,
    RefusedRow,
    check_splits,
    describe_source,
    draw_set,
    set_identity,
)
from raycalib.sources.facts.splits import SPLITS
from raycalib.stages.lines.progress import say
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place
from raycalib.storage import Location, Manifest, write_manifest, write_shard

REFUSED_NAME = "refused.jsonl"
COUNTED = ("read", "drawn", "refused", "bad", "left_out", "siblings")
MAX_SHARD_CHARACTERS = 2**25
MAX_WAITING_SHARDS = 4


def write_question_set(
    question_set: QuestionSet, style: str, seed: int, rows_per_shard: int, out: Location
) -> StageOutput:
    """Questions of a set in one style; a shard holds one split, in the order of the source.

    Rows that cannot be questions are listed in ``refused.jsonl`` beside the shards. In the manifest's counts
    ``in`` = ``out`` + ``refused``, and ``read`` = ``in`` + ``left_out`` (rows beyond a limit, and of other splits that
    lie among them).

    Args:
        question_set: which set.
        style: prompt style.
        seed: redraws splits, phrasings and options.
        rows_per_shard: at most so many.
        out: the run's directory.

    Raises:
        DataError: see ``draw_set``, or the training set lacks a split; the refused rows are written all the same, and
            what else was written counts for nothing without a manifest.
    """
    settings = question_set.source
    identity, key, place = _named(question_set, style, seed, rows_per_shard, out)
    if done := finished(place, key):
        _check_again(done, settings.max_bad_rows)
        return done
    say_why_again(place, f"questions {question_set.name} {style}", identity)
    tally = DrawTally()
    with _RefusedFile(place) as refused, _ShardWriter(place, rows_per_shard, settings.name == "facts") as writer:
        for drawn in draw_set(question_set, style, seed, tally):
            if isinstance(drawn, RefusedRow):
                refused.add(drawn)
            else:
                writer.add(drawn)
        if question_set.is_training:
            check_splits(settings.name, style, writer.splits, needs_test=False)
    manifest = Manifest(
        stage="questions",
        key=key,
        config=identity,
        shards=tuple(writer.shards),
        counts=_counts(tally) | dict(writer.counts),
        details={"by_source": _by_source(tally), "notes": describe_source(settings, seed)},
    )
    write_manifest(place, manifest)
    return StageOutput(place=place, manifest=manifest, was_done=False)


def find_question_set(
    question_set: QuestionSet, style: str, seed: int, rows_per_shard: int, out: Location
) -> StageOutput | None:
    """The questions of a set in one style, where an earlier run drew them."""
    _, key, place = _named(question_set, style, seed, rows_per_shard, out)
    return finished(place, key)


def _named(
    question_set: QuestionSet, style: str, seed: int, rows_per_shard: int, out: Location
) -> tuple[dict[str, object], str, Location]:
    """What decides the questions, their key and their place."""
    identity = {
        **set_identity(question_set, style),
        "version": QUESTION_VERSION,
        "seed": seed,
        "rows_per_shard": rows_per_shard,
    }
    key = stage_key("questions", identity, [])
    return identity, key, stage_place(out, "questions", f"{question_set.source.slug}-{question_set.slug}-{style}", key)


def _counts(tally: DrawTally) -> dict[str, int]:
    drawn, refused = tally.drawn.total(), tally.refused.total()
    return {
        "read": tally.read.total(),
        "in": drawn + refused,
        "out": drawn,
        "refused": refused,
        "left_out": tally.left_out.total(),
        "errors": 0,
    }


def _by_source(tally: DrawTally) -> dict[str, dict[str, int]]:
    return {source: {name: getattr(tally, name)[source] for name in COUNTED} for source in sorted(tally.read)}


def _check_again(done: StageOutput, most: float) -> None:
    """Raises DataError if questions that are there have more bad rows than is allowed now."""
    tally = DrawTally()
    for source, counts in done.manifest.details.get("by_source", {}).items():
        for name in COUNTED:
            getattr(tally, name)[source] = counts.get(name, 0)
    tally.check(most)


class _RefusedFile:
    """Collects refused rows on disk and writes them in one file when it is left, also where the run stops."""

    def __init__(self, place: Location) -> None:
        self._place = place
        self._n_rows = 0
        self._lines = tempfile.TemporaryFile()  # noqa: SIM115 — closed when the context is left

    def __enter__(self) -> "_RefusedFile":
        return self

    def __exit__(self, *_: object) -> None:
        with self._lines:
            if self._n_rows:
                self._lines.seek(0)
                self._place.write_bytes(REFUSED_NAME, self._lines.read())
                say(f"questions: {self._n_rows:,} rows refused, listed in {self._place.uri}/{REFUSED_NAME}")

    def add(self, refused: RefusedRow) -> None:
        """Takes a row."""
        self._lines.write(json.dumps(hide_all(refused.record())).encode() + b"\n")
        self._n_rows += 1


class _ShardWriter:
    """Fills one shard per split and style and writes it as soon as it is full, on a thread of its own.

    Attributes:
        shards: file names of the finished shards, in order; complete once the writer is left.
        counts: rows by split and style.
    """

    def __init__(self, place: Location, rows_per_shard: int, in_blocks: bool) -> None:
        self.shards: list[str] = []
        self.counts: Counter[str] = Counter()
        self._place = place
        self._rows_per_shard = rows_per_shard
        self._in_blocks = in_blocks  # each split's rows come in one block: its last shard is written before the next
        self._rows: dict[tuple[str, str], list[Row]] = {}
        self._characters: Counter[tuple[str, str]] = Counter()
        self._n_shards = 0
        self._waiting: deque[Future[str]] = deque()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shards")

    def __enter__(self) -> "_ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._write_rest()
        finally:
            self._pool.shutdown(cancel_futures=kind is not None)

    def add(self, row: Row) -> None:
        """Takes a row; writes a shard where it is the last that fits."""
        key = (row["style"], row["split"])
        if self._in_blocks and key not in self._rows:
            self._flush_all()
        rows = self._rows.setdefault(key, [])
        rows.append(row)
        self.counts[f"{row['split']}/{row['style']}"] += 1
        self._characters[key] += len(row["prompt"]) + len(row["context"])
        if len(rows) >= self._rows_per_shard or self._characters[key] >= MAX_SHARD_CHARACTERS:
            self._flush(key)

    @property
    def splits(self) -> set[str]:
        """Those that have rows."""
        return {name.partition("/")[0] for name in self.counts}

    def _write_rest(self) -> None:
        self._flush_all()
        while self._waiting:
            self.shards.append(self._waiting.popleft().result())

    def _flush_all(self) -> None:
        for key in sorted(self._rows, key=lambda key: (key[0], SPLITS.index(key[1]) if key[1] in SPLITS else -1)):
            self._flush(key)
        self._rows.clear()

    def _flush(self, key: tuple[str, str]) -> None:
        rows = self._rows[key]
        if not rows:
            return
        while len(self._waiting) >= MAX_WAITING_SHARDS:
            self.shards.append(self._waiting.popleft().result())
        self._waiting.append(self._pool.submit(write_shard, self._place, self._n_shards, rows, QUESTION))
        self._n_shards += 1
        self._rows[key] = []
        self._characters[key] = 0
