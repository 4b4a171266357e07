"""Questions of all parts of a source, one by one, in both styles."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from raycalib.errors import DataError
from raycalib.records import Row
from raycalib.sources.drawing.plan import Plan, set_streams
from raycalib.sources.drawing.refused import RefusedRow
from raycalib.sources.drawing.row_ids import RowIds
from raycalib.sources.drawing.selection import Keys, Selection, select
from raycalib.sources.drawing.streams import Candidate, LeftOut, Stream
from raycalib.sources.facts.splits import HELDOUT, TEST, TRAIN, VAL_CALIBRATE, VAL_SELECT
from raycalib.sources.question_sets import QuestionSet
from raycalib.sources.settings import SourceSettings

NEEDED_SPLITS = (TRAIN, VAL_SELECT, VAL_CALIBRATE, TEST)
FAULTS_SHOWN = 3


@dataclass
class DrawTally:
    """What became of the rows read, by source; a row counts once per style.

    Attributes:
        read: rows read.
        drawn: rows that became questions.
        refused: rows that cannot be questions.
        bad: those of them that the source is not known for.
        left_out: rows beyond a limit, of a sibling source, or without a question in the style.
        siblings: those of them that belong to another source.
        faults: the first bad rows.
    """

    read: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    siblings: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[RefusedRow]] = field(default_factory=dict)

    def refuse(self, refused: RefusedRow) -> None:
        """Counts a refused row."""
        self.read[refused.source] += 1
        self.refused[refused.source] += 1
        if not refused.expected:
            self.bad[refused.source] += 1
            shown = self.faults.setdefault(refused.source, [])
            if len(shown) < FAULTS_SHOWN:
                shown.append(refused)

    def leave_out(self, source: str, reason: LeftOut) -> None:
        """Counts a row that is no question here."""
        self.read[source] += 1
        self.left_out[source] += 1
        self.siblings[source] += reason is LeftOut.SIBLING

    def check(self, most: float) -> None:
        """Raises DataError if a source has more bad rows than allowed, as a share of its own rows that were read."""
        for source, bad in self.bad.items():
            own = self.read[source] - self.siblings[source]
            if bad > most * own:
                faults = self.faults.get(source, [])
                shown = "; ".join(map(str, faults)) or "refused.jsonl beside the questions lists them"
                shown += "; …" if bad > len(faults) > 0 else ""
                raise DataError(
                    f"source: {faults[0].place if faults else source}: {bad:,} of {own:,} rows are unusable, more "
                    f"than the {most:.3g} allowed: {shown}; mend them, or raise max_bad_rows"
                )


def draw_questions(
    settings: SourceSettings,
    styles: Sequence[str],
    seed: int,
    tally: DrawTally | None = None,
    *,
    needs_test: bool = True,
) -> Iterator[Row | RefusedRow]:
    """Question records (records.QUESTION) and refused rows, in the order of the sources' rows, style after style.

    Nothing is held but a number for each row's id, another where there are limits, and what few-shot examples are
    drawn from.

    Args:
        settings: which sources, and how many rows of each split.
        styles: prompt styles.
        seed: redraws splits, options, few-shot examples and the choice of rows.
        tally: counts while the questions are drawn.
        needs_test: see ``check_splits``.

    Raises:
        ConfigError: a source does not have a style.
        DataError: a source cannot be read or has too many bad rows, or a needed split is empty.
    """
    plan = Plan(settings, seed)
    for style in styles:
        counts = DrawTally() if tally is None else tally
        splits: set[str] = set()
        for drawn in draw_style(plan, style, counts):
            if not isinstance(drawn, RefusedRow):
                splits.add(drawn["split"])
            yield drawn
        counts.check(settings.max_bad_rows)
        check_splits(settings.name, style, splits, needs_test=needs_test)


def draw_set(question_set: QuestionSet, style: str, seed: int, tally: DrawTally) -> Iterator[Row | RefusedRow]:
    """The questions of a set in one style, and refused rows; only sources that may have such are read.

    A question is the one that ``draw_questions`` draws, except that of two equal ones in different sets both have the
    first one's row_id.

    Raises:
        ConfigError: a source does not have the style.
        DataError: a source cannot be read or has too many bad rows.
    """
    settings = question_set.source
    plan = Plan(settings, seed)
    streams = set_streams(plan, question_set, style)
    selection = Selection({}) if plan.only_facts else select(streams, settings.parts, settings.limits, seed)
    yield from draw_streams(streams, selection, seed, tally, frozenset(question_set.splits))
    tally.check(settings.max_bad_rows)


def draw_style(plan: Plan, style: str, tally: DrawTally) -> Iterator[Row | RefusedRow]:
    """The questions of one style; nothing is checked but what is read."""
    streams = plan.streams(style)
    selection = Selection({})
    if not plan.only_facts:
        selection = select(streams, plan.settings.parts, plan.settings.limits, plan.seed)
    yield from draw_streams(streams, selection, plan.seed, tally)


def draw_streams(
    streams: Iterable[Stream],
    selection: Selection,
    seed: int,
    tally: DrawTally,
    splits: frozenset[str] | None = None,
) -> Iterator[Row | RefusedRow]:
    """The questions of some streams, those that are selected, with their row_ids; of some splits alone if given."""
    ids, keys = RowIds(), Keys(seed)
    refused: set[tuple[str, int]] = set()
    for index, stream in enumerate(streams):
        limited = selection.limits(index)
        for event in stream.events():
            if isinstance(event, Candidate):
                label = event.stream.label
                tally.read[label] += 1
                taken = not limited or selection.takes(index, event.split, keys.of(event))
                if not taken or (splits is not None and event.split not in splits):
                    tally.left_out[label] += 1
                    continue
                tally.drawn[label] += 1
                yield event.stream.row(event, ids)
            elif isinstance(event, LeftOut):
                tally.leave_out(stream.label, event)
            elif (event.place, event.row) not in refused:  # two streams may read one split
                refused.add((event.place, event.row))
                tally.refuse(event)
                yield event


def check_splits(name: str, style: str, splits: Collection[str], *, needs_test: bool = True) -> None:
    """Raises DataError if a split that every run needs is not among those that have questions.

    Args:
        name: of the source.
        style: of the questions.
        splits: that have any.
        needs_test: nothing else is evaluated on.
    """
    for split in NEEDED_SPLITS:
        if split not in splits and not (split == TEST and (HELDOUT in splits or not needs_test)):
            way_out = "add rows, or name the split of each row in a column 'split'"
            if split == TEST:
                way_out += ", or name a set for evaluation: --eval mmlu"
            raise DataError(f"source: {name} has no {style} questions in split {split}; {way_out}")
