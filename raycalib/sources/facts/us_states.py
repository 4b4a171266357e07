"""Facts about the fifty US states: capital, abbreviation, largest city, admission year and nickname."""

from collections.abc import Iterable, Sequence

from raycalib.sources.facts.countries import alike
from raycalib.sources.facts.family import Family, make_family, read_table

_PHRASINGS = {
    "capital": (
        "What is the capital of the US state of {subject}?",
        "Which city is the state capital of {subject}?",
        "What is the name of the capital city of the state of {subject}?",
        "In which city does the state government of {subject} sit?",
    ),
    "abbreviation": (
        "What is the two-letter postal abbreviation of the US state of {subject}?",
        "Which postal code abbreviation stands for the state of {subject}?",
        "How does the US Postal Service abbreviate {subject}?",
        "Which two letters stand for {subject} in US mailing addresses?",
    ),
    "largest_city": (
        "What is the largest city in the US state of {subject}?",
        "Which city is the most populous in the state of {subject}?",
        "What is the biggest city by population in the state of {subject}?",
        "Which city has more inhabitants than any other in the state of {subject}?",
    ),
    "admission_year": (
        "In which year did {subject} become a US state?",
        "What year was {subject} admitted to the United States as a state?",
        "When did {subject} join the Union, by ratifying the US Constitution or by admission?",
        "In what year did statehood within the United States begin for {subject}?",
    ),
    "nickname": (
        "What is the nickname of the US state of {subject}?",
        "By which nickname is the state of {subject} best known?",
        "Which nickname is commonly given to the state of {subject}?",
        "What is the state of {subject} popularly called?",
    ),
}

# A state's own other city is the most tempting wrong answer.
_TEMPTING = {"capital": "largest_city", "largest_city": "capital"}


def families() -> tuple[Family, ...]:
    """One family per column of the table of states."""
    rows = read_table("us_states")
    return tuple(_family(rows, column, phrasings) for column, phrasings in _PHRASINGS.items())


def _family(rows: Sequence[dict[str, str]], column: str, phrasings: Sequence[str]) -> Family:
    by_name = {row["state"]: row for row in rows}
    ranks = {state: rank for rank, state in enumerate(by_name)}

    def near(subject: str, answer: str) -> Iterable[str]:
        if column == "abbreviation":
            return alike(answer, [row[column] for row in rows])
        if column == "admission_year":
            return sorted({row[column] for row in rows}, key=lambda year: (abs(int(year) - int(answer)), year))
        here = by_name[subject]
        region = [state for state in by_name if by_name[state]["region"] == here["region"]]
        region.sort(key=lambda state: abs(ranks[state] - ranks[subject]))
        tempting = here[_TEMPTING[column]] if column in _TEMPTING else ""
        return [tempting, *(by_name[state][column] for state in region)]

    pairs = [(row["state"], row[column]) for row in rows]
    return make_family(f"state_{column}", "state", phrasings, pairs, near)
