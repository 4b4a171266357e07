"""Facts about countries: capital, currency, continent, language, demonym and codes."""

from collections.abc import Iterable, Sequence
from functools import cache

from raycalib.sources.facts.family import Family, make_family, read_table

# Nearest first, so that wrong continents sound plausible.
_NEAR_CONTINENTS = {
    "Africa": ("Asia", "Europe", "South America", "North America", "Oceania"),
    "Asia": ("Europe", "Africa", "Oceania", "North America", "South America"),
    "Europe": ("Asia", "Africa", "North America", "South America", "Oceania"),
    "North America": ("South America", "Europe", "Africa", "Asia", "Oceania"),
    "South America": ("North America", "Africa", "Europe", "Asia", "Oceania"),
    "Oceania": ("Asia", "South America", "North America", "Africa", "Europe"),
}

# Countries whose continent is disputed (no fact is made of it), and those they are likely taken for.
_SEEN_WITH = {
    "Armenia": "Asia",
    "Australia": "Oceania",
    "Azerbaijan": "Asia",
    "Cyprus": "Europe",
    "Egypt": "Africa",
    "Georgia": "Asia",
    "Indonesia": "Asia",
    "Kazakhstan": "Asia",
    "Russia": "Europe",
    "Timor-Leste": "Asia",
    "Trinidad and Tobago": "North America",
    "Turkey": "Asia",
}

_WITH_ARTICLE = {
    "Bahamas",
    "Central African Republic",
    "Comoros",
    "Czech Republic",
    "Democratic Republic of the Congo",
    "Dominican Republic",
    "Gambia",
    "Maldives",
    "Marshall Islands",
    "Netherlands",
    "Philippines",
    "Republic of the Congo",
    "Seychelles",
    "Solomon Islands",
    "United Arab Emirates",
    "United Kingdom",
    "United States",
}

_PHRASINGS = {
    "capital": (
        "What is the capital of {subject}?",
        "Which city is the capital of {subject}?",
        "What is the name of the capital city of {subject}?",
        "Which city serves as the national capital of {subject}?",
    ),
    "currency": (
        "What is the official currency of {subject}?",
        "Which currency is officially used in {subject}?",
        "What is the name of the national currency used in {subject}?",
        "Which official currency would you need for a trip to {subject}?",
    ),
    "continent": (
        "On which continent is {subject}?",
        "Which continent does {subject} belong to?",
        "What continent is {subject} part of?",
        "Which part of the world, counted as a continent, is {subject} in?",
    ),
    "language": (
        "What is the official language of {subject}?",
        "Which language is the official one in {subject}?",
        "In which language does the government of {subject} officially work?",
        "What is the main official language spoken in {subject}?",
    ),
    "demonym": (
        "What nationality is a person from {subject}?",
        "What do you call the nationality of someone from {subject}?",
        "Which word describes the nationality of the people of {subject}?",
        "What is the demonym for people from {subject}?",
    ),
    "tld": (
        "What is the country code top-level domain of {subject}?",
        "Which internet top-level domain is assigned to {subject}?",
        "What national ending do web addresses from {subject} have?",
        "Which internet country code domain belongs to {subject}?",
    ),
    "calling_code": (
        "What is the international calling code of {subject}?",
        "Which country calling code do you dial to phone {subject}?",
        "What is the international telephone prefix, without the plus sign, of {subject}?",
        "Which country code starts the international phone numbers of {subject}?",
    ),
    "iso2": (
        "What is the ISO 3166-1 alpha-2 code of {subject}?",
        "Which two-letter ISO country code stands for {subject}?",
        "What is the two-letter ISO 3166 code for {subject}?",
        "Which ISO alpha-2 country code belongs to {subject}?",
    ),
}


@cache
def _rows() -> tuple[dict[str, str], ...]:
    return tuple(read_table("countries"))


def neighbours(country: str) -> tuple[str, ...]:
    """Other countries of the same continent, nearest in rank first; none for an unknown country."""
    ranks = {row["country"]: rank for rank, row in enumerate(_rows())}
    home = {row["country"]: row["continent"] or _SEEN_WITH.get(row["country"], "") for row in _rows()}
    here = home.get(country)
    near = [other for other in ranks if here and home[other] == here and other != country]
    return tuple(sorted(near, key=lambda other: abs(ranks[other] - ranks[country])))


def alike(answer: str, others: Iterable[str]) -> tuple[str, ...]:
    """Other codes that look like ``answer``: same length and most equal characters first."""

    def difference(other: str) -> tuple[bool, int]:
        return len(other) != len(answer), sum(a != b for a, b in zip(answer, other, strict=False))

    # Same first letter or digit (after the dot of a domain); the sort keeps the order of the table.
    start = answer[: 2 if answer.startswith(".") else 1]
    return tuple(sorted((o for o in others if o.startswith(start) and o != answer), key=difference))


def families() -> tuple[Family, ...]:
    """One family per column of the table of countries."""
    return tuple(_family(column, phrasings) for column, phrasings in _PHRASINGS.items())


def _family(column: str, phrasings: Sequence[str]) -> Family:
    answers = {row["country"]: row[column] for row in _rows()}

    def near(subject: str, answer: str) -> Iterable[str]:
        if column == "continent":
            return _NEAR_CONTINENTS[answer]
        if column in {"tld", "calling_code", "iso2"}:
            return alike(answer, answers.values())
        return [answers[other] for other in neighbours(subject.removeprefix("the "))]

    pairs = [(_spoken(country), answer) for country, answer in answers.items()]
    return make_family(f"country_{column}", "country", phrasings, pairs, near)


def _spoken(country: str) -> str:
    """The country's name inside a sentence: with its article where it has one."""
    return f"the {country}" if country in _WITH_ARTICLE else country
