"""The embedded facts about words, works, history and letters."""

import string

import pytest

from raycalib.sources.facts import (
    alphabets,
    artworks,
    books,
    events,
    inventions,
    music,
    mythology,
    opposites,
    presidents,
    verbs,
    words,
)
from raycalib.sources.facts.family import MIN_DISTRACTORS, Family

MODULES = (
    alphabets,
    artworks,
    books,
    events,
    inventions,
    music,
    mythology,
    opposites,
    presidents,
    verbs,
    words,
)
FAMILIES = {family.name: family for module in MODULES for family in module.families()}
COUNTS = {
    "word_spanish": 200,
    "word_french": 200,
    "word_german": 200,
    "word_italian": 200,
    "verb_past": 150,
    "verb_participle": 60,
    "word_opposite": 130,
    "book_author": 170,
    "artwork_artist": 90,
    "music_composer": 90,
    "event_year": 150,
    "invention_person": 60,
    "nato_letter": 26,
    "morse_letter": 26,
    "letter_position": 26,
    "greek_order": 24,
    "president_number": 43,
    "president_year": 45,
    "president_party": 40,
    "deity_roman": 40,
}
FIXED = (
    "nato_letter",
    "morse_letter",
    "letter_position",
    "greek_order",
    "president_number",
    "president_year",
)


def answers(name: str) -> dict[str, str]:
    """Subject → answer of one family."""
    return {fact.subject: fact.answer for fact in FAMILIES[name].facts}


def test_families_hold_what_they_promise() -> None:
    assert set(FAMILIES) == set(COUNTS)
    for name, count in COUNTS.items():
        found = len(FAMILIES[name].facts)
        assert found == count if name in FIXED else found >= count, name


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_fact_is_well_formed(family: Family) -> None:
    assert len(set(family.phrasings)) == 4
    assert all(phrasing.endswith("?") for phrasing in family.phrasings)
    assert len(answers(family.name)) == len(family.facts)
    for fact in family.facts:
        assert len(fact.distractors) >= MIN_DISTRACTORS
        assert len(set(fact.distractors)) == len(fact.distractors)
        assert fact.answer not in fact.distractors
        for text in (fact.subject, fact.answer, *fact.distractors):
            assert text.isascii()
            assert text == text.strip()
            assert text


def test_no_capital_or_space_slips_into_the_word_lists() -> None:
    for name in (
        "word_spanish",
        "word_french",
        "word_italian",
        "word_opposite",
        "verb_past",
        "verb_participle",
    ):
        assert all(answer.isalpha() and answer.islower() for answer in answers(name).values()), name
    assert all(answer == answer.capitalize() for answer in answers("word_german").values())


def test_verb_participles_differ_from_the_past() -> None:
    past = answers("verb_past")
    assert all(past.get(verb) != participle for verb, participle in answers("verb_participle").items())


def test_opposites_point_back_where_both_are_asked() -> None:
    opposite = answers("word_opposite")
    assert all(opposite.get(other, word) == word for word, other in opposite.items())
    assert all(fact.subject not in fact.distractors for fact in FAMILIES["word_opposite"].facts)


def test_titles_do_not_name_their_makers() -> None:
    for name in ("book_author", "artwork_artist", "music_composer"):
        assert all(maker.split()[-1] not in title for title, maker in answers(name).items()), name


def test_letters_are_in_order() -> None:
    letters = string.ascii_lowercase
    assert answers("letter_position") == {letter.upper(): str(n) for n, letter in enumerate(letters, start=1)}
    assert all(word[0] == letter for letter, word in answers("nato_letter").items())
    assert all(wrong[0] == fact.subject for fact in FAMILIES["nato_letter"].facts for wrong in fact.distractors[:3])
    codes = list(answers("morse_letter").values())
    assert len(set(codes)) == 26
    assert all(set(code) <= {".", "-"} for code in codes)
    greek = answers("greek_order")
    assert (greek["Alpha"], greek["Lambda"], greek["Omega"]) == ("1", "11", "24")


def test_years_are_plausible() -> None:
    for name, first in (("event_year", 1), ("president_year", 1789)):
        for fact in FAMILIES[name].facts:
            assert all(first <= int(year) <= 2025 for year in (fact.answer, *fact.distractors)), fact.subject


def test_presidents_took_office_in_the_order_of_their_numbers() -> None:
    number, year = answers("president_number"), answers("president_year")
    years = [int(year[name]) for name in sorted(number, key=lambda name: int(number[name]))]
    assert years == sorted(years)
    assert sorted(map(int, number.values())) == sorted(set(range(1, 47)) - {22, 24, 45})
