"""Questions from the embedded facts, in both styles."""

from collections import defaultdict
from functools import cache

from raycalib.hashing import stable_hash, stable_seed, stable_uniform
from raycalib.prompts import Example, choice_context, open_ended_context
from raycalib.records import PROMPT_STYLES, Row
from raycalib.sources.facts.catalogue import all_facts, all_families
from raycalib.sources.facts.family import Fact
from raycalib.sources.facts.splits import PRETRAIN_QUERY, SPLITS, split_of

SOURCE = "facts"
N_OPTIONS = 4


def fact_questions(style: str, split: str, seed: int, limit: int | None = None) -> list[Row]:
    """Question records of one style and split, in an order drawn from the seed.

    Args:
        style: ``oe`` or ``choice``.
        split: one of ``SPLITS``.
        seed: redraws splits, phrasings, options and order.
        limit: at most this many.

    Raises:
        ValueError: an unknown style or split.
    """
    if style not in PROMPT_STYLES:
        raise ValueError(f"style: {style!r} is unknown; allowed: {', '.join(PROMPT_STYLES)}")
    if split not in SPLITS:
        raise ValueError(f"split: {split!r} is unknown; allowed: {', '.join(SPLITS)}")
    by_split, fresh = _dealt(seed)
    rows = [
        _question(fact, style, split, _phrasing(fact, seed), seed, fact.entity in fresh) for fact in by_split[split]
    ]
    rows.sort(key=lambda row: stable_uniform("order", seed, row["group"], row["context"]))
    return rows[:limit]


@cache
def _dealt(seed: int) -> tuple[dict[str, list[Fact]], frozenset[str]]:
    """Facts by split, and the test entities that occur in no other split."""
    by_split: dict[str, list[Fact]] = defaultdict(list)
    splits_of_entity: dict[str, set[str]] = defaultdict(set)
    for fact in all_facts():
        split = split_of(fact, seed)
        by_split[split].append(fact)
        splits_of_entity[fact.entity].add(split)
    fresh = frozenset(entity for entity, splits in splits_of_entity.items() if len(splits) == 1)
    return by_split, fresh


def facts_by_split(seed: int) -> dict[str, list[Fact]]:
    """Facts by split, ``pretrain_query`` included."""
    return {split: list(_dealt(seed)[0][split]) for split in (*SPLITS, PRETRAIN_QUERY)}


def _phrasing(fact: Fact, seed: int) -> str:
    phrasings = all_families()[fact.family].phrasings
    return phrasings[stable_seed("phrasing", seed, fact.family, fact.entity) % len(phrasings)]


def _question(fact: Fact, style: str, split: str, phrasing: str, seed: int, fresh: bool) -> Row:
    question = phrasing.format(subject=fact.subject)
    if style == "choice":
        options, letter = _options(fact, seed)
        example = Example(context=choice_context(question, options), target=letter)
    else:
        options = []
        example = Example(context=open_ended_context(question), target=fact.answer)
    return {
        "row_id": stable_hash(SOURCE, split, style, example.text()),
        "source": SOURCE,
        "split": split,
        "style": style,
        "task": fact.family,
        "group": f"{fact.family}/{fact.entity}",
        "fresh_entity": fresh,
        "prompt": example.prompt,
        "context": example.context,
        "target_prompt": example.target_prompt,
        "target": example.target,
        "options": options,
        "aliases": None,
        "solution": None,
    }


def _options(fact: Fact, seed: int) -> tuple[list[str], str]:
    """Three drawn distractors and the answer in a drawn order, and the answer's letter."""
    key = ("options", seed, fact.family, fact.entity)
    wrong = sorted(fact.distractors, key=lambda text: stable_uniform(*key, "pick", text))[: N_OPTIONS - 1]
    options = sorted([fact.answer, *wrong], key=lambda text: stable_uniform(*key, "order", text))
    return options, "abcd"[options.index(fact.answer)]
