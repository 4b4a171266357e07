"""What a run has to know of its source before and beside the questions."""

from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path

from raycalib.errors import DataError
from raycalib.hashing import stable_hash
from raycalib.sources.drawing.draw import DrawTally, check_splits, draw_questions, draw_set
from raycalib.sources.drawing.plan import Plan, set_streams
from raycalib.sources.drawing.streams import SourceStream
from raycalib.sources.facts.catalogue import all_families
from raycalib.sources.facts.splits import HELDOUT, SPLITS
from raycalib.sources.hub.item import Refusal
from raycalib.sources.hub.open_hub import OpenHubSource
from raycalib.sources.names import FACTS, MIXTURE, SourcePart
from raycalib.sources.open_source import OpenSource
from raycalib.sources.own.open_own import WHOLE
from raycalib.sources.question_sets import QuestionSet
from raycalib.sources.settings import SourceSettings

CHECKED_WHOLE_BYTES = 32 * 2**20
CHECKED_ROWS = 1000


def check_sets(sets: Sequence[QuestionSet], styles: Sequence[str], seed: int) -> None:
    """Raises what drawing the questions of the sets would raise, as far as can be told without much reading.

    A set from elsewhere need not have all styles.
    """
    elsewhere = [question_set for question_set in sets if question_set.from_elsewhere]
    for question_set in sets:
        if question_set.is_learned_from:
            check_source(question_set.source, styles, seed, needs_test=not elsewhere)
    for question_set in elsewhere:
        _check_evaluation(question_set, styles, seed)


def check_source(settings: SourceSettings, styles: Sequence[str], seed: int, *, needs_test: bool = True) -> None:
    """Raises what drawing the questions would raise, as far as can be told without much reading.

    Files of your own of up to 32 MiB together are read whole, larger ones and local copies of datasets are looked for
    and begun; of the hub only the splits of a ``hub:`` dataset are asked.
    """
    plan = Plan(settings, seed)
    if plan.only_facts:
        return
    for style in styles:
        for part in settings.parts:
            for source in plan.of_part(part, style):
                _check_places(plan, part, style, source)
        possible = set().union(*(_possible_splits(plan, part, style) for part in settings.parts))
        check_splits(settings.name, style, possible, needs_test=needs_test)
    if _is_small(settings):
        for _ in draw_questions(settings, styles, seed, needs_test=needs_test):
            pass
        return
    for part in settings.parts:
        for source in plan.of_part(part, styles[0]) if part.is_file else ():
            _check_beginning(source, source.roles[0])


def _is_small(settings: SourceSettings) -> bool:
    """Whether all parts are files of your own that are read in moments."""
    files = [Path(part.name.removeprefix("file:")) for part in settings.parts if part.is_file]
    return len(files) == len(settings.parts) and sum(path.stat().st_size for path in files) <= CHECKED_WHOLE_BYTES


def _check_evaluation(question_set: QuestionSet, styles: Sequence[str], seed: int) -> None:
    settings, plan = question_set.source, Plan(question_set.source, seed)
    asked = asked_styles(question_set, styles, seed)
    for style in asked:
        for stream in set_streams(plan, question_set, style):
            if isinstance(stream, SourceStream):
                stream.source.place(stream.role)
                if isinstance(stream.source, OpenHubSource) and stream.shots(question_set.name):
                    stream.source.place_of_pool()
                if stream.role == WHOLE and not _is_small(settings):
                    _check_beginning(stream.source, stream.role)
    if _is_small(settings):
        tally = DrawTally()
        for style in asked:
            for _ in draw_set(question_set, style, seed, tally):
                pass
        if not tally.drawn.total():
            raise DataError(f"eval: {question_set.source.name} has no questions in {', '.join(styles)}; check its rows")


def asked_styles(question_set: QuestionSet, styles: Sequence[str], seed: int) -> list[str]:
    """Those of the styles that all sources of a set have words for.

    Raises:
        ConfigError: none.
    """
    plan = Plan(question_set.source, seed)
    if not question_set.from_elsewhere:
        return list(styles)
    members = [plan.sources[name] for part in plan.parts for name in plan.members(part)]
    found = [style for style in styles if all(style in source.words.styles for source in members)]
    if not found:
        members[0].words.words(styles[0])
    return found


def _check_places(plan: Plan, part: SourcePart, style: str, source: OpenSource) -> None:
    """Raises DataError if the rows of a source, or its few-shot examples, are not where they should be."""
    for role in plan.roles(part, style, source):
        source.place(role)
        stream = SourceStream(source=source, role=role, asking=plan.asking(style))
        if isinstance(source, OpenHubSource) and stream.shots(HELDOUT if source.words.evaluation_only else role):
            source.place_of_pool()


def _check_beginning(source: OpenSource, role: str) -> None:
    """Raises DataError if none of the first rows of a file is a question."""
    first = list(islice(source.read(role), CHECKED_ROWS))
    refusals = [found for found in first if isinstance(found, Refusal)]
    if first and len(refusals) == len(first):
        raise DataError(
            f"source: {source.place(role)}: none of the first {len(first):,} rows can be used: row "
            f"{refusals[0].row + 1}: {refusals[0].reason}; mend them, or name the columns"
        )


def _possible_splits(plan: Plan, part: SourcePart, style: str) -> frozenset[str]:
    """The splits of a run that a part can have rows for, to tell without reading them."""
    if part.name == FACTS:
        return frozenset(SPLITS)
    sources = [plan.sources[name] for name in plan.members(part, style)]
    possible = (source.possible_splits(role) for source in sources for role in plan.roles(part, style, source))
    return frozenset().union(*possible)


def describe_source(settings: SourceSettings, seed: int) -> list[str]:
    """How the columns of your own questions are read and what is left out, in lines."""
    return Plan(settings, seed).notes()


def set_identity(question_set: QuestionSet, style: str) -> dict[str, object]:
    """What decides the questions of a set in one style, for hashing: nothing that only other sets hang on."""
    settings = question_set.source
    plan = Plan(settings, 0)
    parts = [part for part in settings.parts if _gives_any(plan, part, style, question_set)]
    identity: dict[str, object] = {
        "set": question_set.name,
        "style": style,
        "source": [part.text for part in parts],
        "content": _fingerprint(plan, parts, style),
        "limits": {split: n for split, n in settings.limits.items() if split in question_set.splits},
    }
    if not plan.only_facts:
        sources = {name: plan.sources[name] for part in parts for name in plan.members(part, style)}
        identity |= {
            "shots": settings.shots.by_split(question_set.splits, [source.label for source in sources.values()]),
            "paper_exact": settings.paper_exact,
            "columns": {name: source.describe() for name, source in sources.items() if source.describe()},
            "left_out": plan.missing if any(part.name == MIXTURE for part in parts) else [],
        }
    return identity


def _gives_any(plan: Plan, part: SourcePart, style: str, question_set: QuestionSet) -> bool:
    return question_set.from_elsewhere or bool(_possible_splits(plan, part, style).intersection(question_set.splits))


def _fingerprint(plan: Plan, parts: Sequence[SourcePart], style: str) -> str:
    """Changes when the questions of these parts do."""
    facts = [_facts_fingerprint() for part in parts if part.name == FACTS]
    sources = [plan.sources[name].fingerprint() for part in parts for name in plan.members(part, style)]
    return stable_hash(sources, facts)


@cache
def _facts_fingerprint() -> str:
    families = all_families()
    return stable_hash(
        [(f.name, f.phrasings, [(x.subject, x.answer, x.distractors) for x in f.facts]) for f in families.values()]
    )
