"""What a run has to know of its source before and beside the questions."""

from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path

from raycalib.errors import DataError
from raycalib.hashing import stable_hash
from raycalib.sources.drawing.draw import check_splits, draw_questions
from raycalib.sources.drawing.plan import Plan
from raycalib.sources.drawing.streams import SourceStream
from raycalib.sources.facts.catalogue import all_families
from raycalib.sources.facts.splits import HELDOUT, SPLITS, TRAIN, VAL_CALIBRATE, VAL_SELECT
from raycalib.sources.hub.item import Refusal
from raycalib.sources.hub.open_hub import OpenHubSource
from raycalib.sources.names import FACTS, SourcePart
from raycalib.sources.open_source import OpenSource
from raycalib.sources.own.open_own import WHOLE
from raycalib.sources.settings import SourceSettings

CHECKED_WHOLE_BYTES = 32 * 2**20
CHECKED_ROWS = 1000


def check_source(settings: SourceSettings, styles: Sequence[str], seed: int) -> None:
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
        check_splits(settings.name, style, _possible_splits(plan, style))
    files = [Path(part.name.removeprefix("file:")) for part in settings.parts if part.is_file]
    if len(files) == len(settings.parts) and sum(path.stat().st_size for path in files) <= CHECKED_WHOLE_BYTES:
        for _ in draw_questions(settings, styles, seed):
            pass
    elif files:
        for part in settings.parts:
            for source in plan.of_part(part, styles[0]) if part.is_file else ():
                _check_beginning(source)


def _check_places(plan: Plan, part: SourcePart, style: str, source: OpenSource) -> None:
    """Raises DataError if the rows of a source, or its few-shot examples, are not where they should be."""
    for role in plan.roles(part, style, source):
        source.place(role)
        stream = SourceStream(source=source, role=role, asking=plan.asking(style))
        if isinstance(source, OpenHubSource) and stream.shots(HELDOUT if source.words.evaluation_only else role):
            source.place_of_pool()


def _check_beginning(source: OpenSource) -> None:
    """Raises DataError if none of the first rows of a file is a question."""
    first = list(islice(source.read(source.roles[0]), CHECKED_ROWS))
    refusals = [found for found in first if isinstance(found, Refusal)]
    if first and len(refusals) == len(first):
        raise DataError(
            f"source: {source.place(source.roles[0])}: none of the first {len(first):,} rows can be used: row "
            f"{refusals[0].row + 1}: {refusals[0].reason}; mend them, or name the columns"
        )


def _possible_splits(plan: Plan, style: str) -> set[str]:
    """The splits of a run that the sources can have rows for, to tell without reading them."""
    possible: set[str] = set()
    for part in plan.settings.parts:
        if part.name == FACTS:
            possible.update(SPLITS)
        for name in plan.members(part, style):
            source = plan.sources[name]
            roles = set(plan.roles(part, style, source))
            if source.words.evaluation_only:
                roles = {HELDOUT}
            if roles & {TRAIN, "validation"}:
                possible |= {VAL_SELECT, VAL_CALIBRATE}
            possible |= set(SPLITS) if WHOLE in roles or part.is_dataset else roles
    return possible


def describe_source(settings: SourceSettings, seed: int) -> list[str]:
    """How the columns of your own questions are read and what is left out, in lines."""
    return Plan(settings, seed).notes()


def source_identity(settings: SourceSettings) -> dict[str, object]:
    """What decides the questions, for hashing."""
    identity: dict[str, object] = {
        "source": settings.name,
        "content": source_fingerprint(settings),
        "limits": dict(settings.limits),
    }
    plan = Plan(settings, 0)
    if not plan.only_facts:
        identity |= {
            "shots": settings.shots.by_split(SPLITS, [source.label for source in plan.sources.values()]),
            "paper_exact": settings.paper_exact,
            "columns": {name: source.describe() for name, source in plan.sources.items() if source.describe()},
            "left_out": plan.missing,
        }
    return identity


def source_fingerprint(settings: SourceSettings) -> str:
    """Changes when the source's questions do."""
    plan = Plan(settings, 0)
    if plan.only_facts:
        return _facts_fingerprint()
    facts = [_facts_fingerprint() for part in settings.parts if part.name == "facts"]
    return stable_hash([source.fingerprint() for source in plan.sources.values()], facts)


@cache
def _facts_fingerprint() -> str:
    families = all_families()
    return stable_hash(
        [(f.name, f.phrasings, [(x.subject, x.answer, x.distractors) for x in f.facts]) for f in families.values()]
    )
