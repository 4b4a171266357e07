"""Facts about well-known cities that are no capitals: the country each lies in."""

from raycalib.sources.facts.countries import neighbours
from raycalib.sources.facts.family import Family, make_family, read_table

_PHRASINGS = (
    "In which country is {subject} located?",
    "Which country is {subject} a city in?",
    "On the territory of which country does {subject} lie?",
    "Which country would you travel to in order to visit {subject}?",
)


def families() -> tuple[Family, ...]:
    """The family city → country; wrong answers are countries of the same continent."""
    pairs = [(row["city"], row["country"]) for row in read_table("cities")]
    return (make_family("city_country", "city", _PHRASINGS, pairs, lambda _, country: neighbours(country)),)
