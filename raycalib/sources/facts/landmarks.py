"""Facts about landmarks, rivers, lakes, mountains and islands: the country each lies in."""

from raycalib.sources.facts.countries import neighbours
from raycalib.sources.facts.family import Family, make_family, read_table

_PHRASINGS = (
    "In which country is {subject}?",
    "In which country can you visit {subject}?",
    "Which country would you travel to in order to see {subject}?",
    "Within which country's territory does {subject} lie?",
)


def families() -> tuple[Family, ...]:
    """The family landmark → country; wrong answers are countries of the same continent."""
    pairs = [(row["landmark"], row["country"]) for row in read_table("landmarks")]
    family = make_family("landmark_country", "landmark", _PHRASINGS, pairs, lambda _, country: neighbours(country))
    return (family,)
