"""All embedded families of facts, and which of them are kept for evaluation only."""

from functools import cache
from importlib import import_module

from raycalib.errors import DataError
from raycalib.sources.facts.family import Fact, Family

LOADERS = (
    "countries",
    "us_states",
    "cities",
    "landmarks",
    "airports",
    "elements",
    "moons",
    "numbers",
    "sums_products",
    "calendar_facts",
    "units",
    "compounds",
    "animals",
    "words",
    "verbs",
    "opposites",
    "books",
    "artworks",
    "music",
    "events",
    "inventions",
    "alphabets",
    "presidents",
    "mythology",
)
"""Modules of this package, each with ``families()``."""

HELDOUT_FAMILIES = ("city_country", "book_author", "word_opposite", "product_pair")
"""Families that no adapter, probe or temperature is ever fitted on, as MMLU is for the paper.

Their entities occur in no other family.
"""


@cache
def all_families() -> dict[str, Family]:
    """Every family by name, in the loaders' order.

    Raises:
        DataError: two families share a name, or a held-out family is missing.
    """
    families: dict[str, Family] = {}
    for loader in LOADERS:
        for family in import_module(f"{__package__}.{loader}").families():
            if family.name in families:
                raise DataError(f"family {family.name!r} is defined twice; the second in {loader}.py")
            families[family.name] = family
    missing = [name for name in HELDOUT_FAMILIES if name not in families]
    if missing:
        raise DataError(f"held-out families {missing} do not exist; known: {', '.join(families)}")
    return families


@cache
def all_facts() -> tuple[Fact, ...]:
    """Every fact, family by family."""
    return tuple(fact for family in all_families().values() for fact in family.facts)
