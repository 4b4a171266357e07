"""Facts about airports: the IATA code of each."""

from raycalib.sources.facts.countries import alike
from raycalib.sources.facts.family import Family, make_family, read_table

_PHRASINGS = (
    "What is the IATA code of {subject}?",
    "Which three-letter IATA code stands for {subject}?",
    "Which airport code is printed on luggage tags for {subject}?",
    "By which three-letter code do airlines identify {subject}?",
)


def families() -> tuple[Family, ...]:
    """The family airport → code; wrong answers are real codes that look alike."""
    pairs = [(row["airport"], row["code"]) for row in read_table("airports")]
    codes = [code for _, code in pairs]
    return (make_family("airport_code", "airport", _PHRASINGS, pairs, lambda _, code: alike(code, codes)),)
