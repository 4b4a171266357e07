"""The questions of one source, style and split as they will be read, for showing."""

from collections.abc import Iterator

from raycalib.records import Row
from raycalib.sources.drawing.draw import DrawTally, draw_streams
from raycalib.sources.drawing.plan import Plan
from raycalib.sources.drawing.refused import RefusedRow
from raycalib.sources.drawing.selection import select
from raycalib.sources.drawing.streams import SourceStream, Stream
from raycalib.sources.facts.splits import HELDOUT, SPLITS, TEST, VAL_CALIBRATE, VAL_SELECT
from raycalib.sources.names import FACTS, MIXTURE, SourcePart
from raycalib.sources.own.open_own import WHOLE
from raycalib.sources.settings import SourceSettings

VALIDATION = "validation"
SHOWN_SPLITS = tuple(dict.fromkeys((*SPLITS, VALIDATION)))


def preview_questions(
    settings: SourceSettings, style: str, split: str, seed: int, tally: DrawTally | None = None
) -> Iterator[Row | RefusedRow]:
    """The question records and refused rows of one split, in order.

    ``train``, ``validation`` and ``test`` are a dataset's own splits, undealt; of the facts, the mixture and files of
    your own they are the run's, where ``validation`` is both halves. The other names are the run's splits.

    Args:
        settings: which sources; ``max_bad_rows`` is not applied.
        style: ``oe`` or ``choice``.
        split: one of ``SHOWN_SPLITS``.
        seed: as of a run.
        tally: counts while the questions are drawn.

    Raises:
        ConfigError: a source does not have the style.
        DataError: a source cannot be read.
    """
    plan, counts = Plan(settings, seed), DrawTally() if tally is None else tally
    streams = [stream for part in settings.parts for stream in _own_splits(plan, part, style, split)]
    if streams:
        selection = select(streams, settings.parts, {}, seed)
        yield from draw_streams(streams, selection, seed, counts)
    if not all(_has_own_splits(part, split) for part in settings.parts):
        wanted = (VAL_SELECT, VAL_CALIBRATE) if split == VALIDATION else (split,)
        yield from _of_run(plan, style, split, wanted, counts)


def _of_run(
    plan: Plan, style: str, split: str, wanted: tuple[str, ...], tally: DrawTally
) -> Iterator[Row | RefusedRow]:
    parts = plan.settings.parts
    streams = [
        stream
        for stream in plan.streams(style)
        if not _has_own_splits(parts[stream.part], split) and _may_give(stream, wanted)
    ]
    selection = select(streams, parts, {}, plan.seed)
    for drawn in draw_streams(streams, selection, plan.seed, tally):
        if isinstance(drawn, RefusedRow) or drawn["split"] in wanted:
            yield drawn


def _may_give(stream: Stream, wanted: tuple[str, ...]) -> bool:
    """Whether the stream can have rows of the splits, so that no file is read in vain."""
    if not isinstance(stream, SourceStream) or stream.role == WHOLE:
        return True
    if wanted == (HELDOUT,):
        return stream.role == TEST
    return stream.role != TEST or TEST in wanted


def _has_own_splits(part: SourcePart, split: str) -> bool:
    """Whether the split is meant as the dataset's own."""
    if part.name in (FACTS, MIXTURE) or part.is_file:
        return False
    return split in ("train", VALIDATION, TEST)


def _own_splits(plan: Plan, part: SourcePart, style: str, split: str) -> list[SourceStream]:
    if not _has_own_splits(part, split):
        return []
    index = plan.settings.parts.index(part)
    return [
        SourceStream(source=source, role=split, asking=plan.asking(style), part=index, as_split=split)
        for source in plan.of_part(part, style)
        if split in source.roles
    ]
