"""Inventions, discoveries and theories: the feat → the person known for it."""

from raycalib.sources.facts.family import Family, make_family, read_table

PHRASINGS = (
    "Who is credited with {subject}?",
    "Which person is best known for {subject}?",
    "Who is remembered for {subject}?",
    "To whom do we owe {subject}?",
)


def families() -> tuple[Family, ...]:
    """The family ``invention_person``."""
    pairs = [(row["feat"], row["person"]) for row in read_table("inventions")]
    return (make_family("invention_person", "feat", PHRASINGS, pairs),)
