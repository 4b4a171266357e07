"""The geographic facts: how many there are, and that answers and wrong answers are well formed."""

import re

import pytest

from raycalib.sources.facts import airports, cities, countries, landmarks, us_states
from raycalib.sources.facts.family import MIN_DISTRACTORS, Family, read_table

FAMILIES: dict[str, Family] = {
    family.name: family
    for module in (countries, us_states, cities, landmarks, airports)
    for family in module.families()
}

LEAST_FACTS = {
    "country_capital": 175,
    "country_currency": 175,
    "country_continent": 175,
    "country_language": 115,
    "country_demonym": 175,
    "country_tld": 190,
    "country_calling_code": 175,
    "country_iso2": 190,
    "state_capital": 50,
    "state_abbreviation": 50,
    "state_largest_city": 48,
    "state_admission_year": 50,
    "state_nickname": 45,
    "city_country": 260,
    "landmark_country": 140,
    "airport_code": 150,
}

ANSWER_PATTERNS = {
    "country_continent": "Africa|Asia|Europe|North America|South America|Oceania",
    "country_tld": r"\.[a-z]{2}",
    "country_calling_code": r"[2-9]\d{0,2}",
    "country_iso2": "[A-Z]{2}",
    "state_abbreviation": "[A-Z]{2}",
    "state_admission_year": r"1[789]\d\d",
    "airport_code": "[A-Z]{3}",
}


@pytest.fixture(params=sorted(LEAST_FACTS))
def family(request: pytest.FixtureRequest) -> Family:
    """Each family in turn."""
    name: str = request.param
    return FAMILIES[name]


def test_every_family_is_listed() -> None:
    assert set(FAMILIES) == set(LEAST_FACTS)


def test_enough_facts_and_no_repeated_subject(family: Family) -> None:
    assert len(family.facts) >= LEAST_FACTS[family.name]
    assert len({fact.subject for fact in family.facts}) == len(family.facts)


def test_four_distinct_questions(family: Family) -> None:
    assert len(set(family.phrasings)) == 4
    for phrasing in family.phrasings:
        assert phrasing.endswith("?")
        assert not phrasing.startswith("{subject}")  # a subject may begin with a small "the"


def test_wrong_answers(family: Family) -> None:
    for fact in family.facts:
        assert len(fact.distractors) >= MIN_DISTRACTORS, fact
        assert len(set(fact.distractors)) == len(fact.distractors), fact
        assert fact.answer not in fact.distractors, fact


def test_plain_text(family: Family) -> None:
    for fact in family.facts:
        for text in (fact.subject, fact.answer, *fact.distractors):
            assert text.isascii(), fact
            assert text == text.strip(), fact
            assert not text.endswith((".", ",")), fact


@pytest.mark.parametrize("name", sorted(ANSWER_PATTERNS))
def test_answers_and_wrong_answers_have_the_form_asked_for(name: str) -> None:
    for fact in FAMILIES[name].facts:
        for text in (fact.answer, *fact.distractors):
            assert re.fullmatch(ANSWER_PATTERNS[name], text), fact


@pytest.mark.parametrize("name", ["country_iso2", "country_tld", "state_abbreviation", "airport_code"])
def test_codes_are_unique(name: str) -> None:
    answers = [fact.answer for fact in FAMILIES[name].facts]
    assert len(set(answers)) == len(answers)


def test_no_city_is_a_capital_or_a_country() -> None:
    rows = read_table("countries")
    taken = {row["capital"] for row in rows} | {row["country"] for row in rows}
    assert not taken & {fact.subject for fact in FAMILIES["city_country"].facts}


def test_places_lie_in_listed_countries() -> None:
    known = {row["country"] for row in read_table("countries")}
    for name in ("city_country", "landmark_country"):
        assert {fact.answer for fact in FAMILIES[name].facts} <= known


def test_the_families_of_one_country_share_its_entity() -> None:
    keys = {fact.entity for fact in FAMILIES["country_capital"].facts}
    assert "country:the United States" in keys
    assert keys <= {fact.entity for fact in FAMILIES["country_iso2"].facts}


@pytest.mark.parametrize(
    ("name", "subject", "answer"),
    [
        ("country_capital", "Australia", "Canberra"),
        ("country_tld", "the United Kingdom", ".uk"),
        ("country_calling_code", "Japan", "81"),
        ("state_capital", "New York", "Albany"),
        ("city_country", "Istanbul", "Turkey"),
        ("landmark_country", "Mount Kilimanjaro", "Tanzania"),
        ("airport_code", "Tokyo Haneda Airport", "HND"),
    ],
)
def test_known_facts(name: str, subject: str, answer: str) -> None:
    assert [fact.answer for fact in FAMILIES[name].facts if fact.subject == subject] == [answer]


def test_tempting_wrong_answers_come_first() -> None:
    capital = next(fact for fact in FAMILIES["state_capital"].facts if fact.subject == "California")
    assert capital.distractors[0] == "Los Angeles"
    city = next(fact for fact in FAMILIES["city_country"].facts if fact.subject == "Osaka")
    assert set(city.distractors) <= set(countries.neighbours("Japan"))
