"""Facts about science and numbers: counts, shape, and an independent recomputation where possible."""

from datetime import date, timedelta
import re

import pytest

from raycalib.sources.facts import (
    animals,
    calendar_facts,
    compounds,
    elements,
    moons,
    numbers,
    sums_products,
    units,
)
from raycalib.sources.facts.family import Family

MODULES = (animals, calendar_facts, compounds, elements, moons, numbers, sums_products, units)
FAMILIES = {family.name: family for module in MODULES for family in module.families()}
AT_LEAST = {
    "element_symbol": 118,
    "element_atomic_number": 118,
    "element_period": 118,
    "element_category": 95,
    "element_group": 87,
    "planet_order": 8,
    "moon_planet": 60,
    "number_roman": 150,
    "number_square": 150,
    "number_words": 100,
    "number_binary": 150,
    "number_double": 150,
    "number_cube": 60,
    "number_largest_prime_factor": 149,
    "sum_pair": 160,
    "product_pair": 160,
    "weekday_after": 42,
    "month_after": 132,
    "month_number": 12,
    "unit_symbol": 50,
    "unit_quantity": 50,
    "unit_conversion": 60,
    "compound_formula": 80,
    "animal_young": 80,
    "animal_group": 60,
    "animal_class": 100,
    "animal_sound": 30,
}
MONDAY = date(2024, 1, 1)


def answers(name: str) -> dict[str, str]:
    """Subject → answer of a family."""
    return {fact.subject: fact.answer for fact in FAMILIES[name].facts}


def atoms(formula: str) -> dict[str, int]:
    """How many atoms of each element a formula holds."""
    formula = re.sub(r"\(([^)]*)\)(\d+)", lambda found: found[1] * int(found[2]), formula)
    count: dict[str, int] = {}
    for symbol, times in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        count[symbol] = count.get(symbol, 0) + int(times or 1)
    return count


def test_every_family_is_there_with_enough_facts() -> None:
    assert set(FAMILIES) == set(AT_LEAST)
    assert {
        name: len(FAMILIES[name].facts) for name, least in AT_LEAST.items() if len(FAMILIES[name].facts) < least
    } == {}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_facts_are_well_formed(family: Family) -> None:
    assert len(set(family.phrasings)) == 4
    assert all(phrasing.count("{subject}") == 1 and phrasing.endswith("?") for phrasing in family.phrasings)
    assert len({fact.subject for fact in family.facts}) == len(family.facts)
    assert [fact.rank for fact in family.facts] == sorted({fact.rank for fact in family.facts})
    for fact in family.facts:
        texts = (fact.subject, fact.answer, *fact.distractors)
        assert all(text.isascii() and text == text.strip() and text for text in texts), fact
        assert 1 <= len(fact.answer.split()) <= 3, fact
        assert fact.answer[-1] not in ".,;:!?", fact
        assert len(set(fact.distractors)) == len(fact.distractors) >= 3, fact
        assert fact.answer.lower() not in {text.lower() for text in fact.distractors}, fact


def test_elements() -> None:
    assert sorted(map(int, answers("element_atomic_number").values())) == list(range(1, 119))
    assert len(set(answers("element_symbol").values())) == 118
    by_number = {int(number): element for element, number in answers("element_atomic_number").items()}
    sizes = (2, 8, 8, 18, 18, 32, 32)
    rows = [str(row) for row, size in enumerate(sizes, start=1) for _ in range(size)]
    assert answers("element_period") == {by_number[n]: row for n, row in enumerate(rows, start=1)}
    group, category = answers("element_group"), answers("element_category")
    columns = {"noble gas": {"18"}, "halogen": {"17"}, "alkali metal": {"1"}, "alkaline earth metal": {"2"}}
    for element, kind in category.items():
        if kind in columns:
            assert group[element] in columns[kind], element
        assert (kind in ("lanthanide", "actinide")) <= (element not in group), element
    assert (group["iron"], group["carbon"], group["gold"], group["tennessine"]) == ("8", "14", "11", "17")


def test_numbers() -> None:
    values = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
    for subject, text in answers("number_roman").items():
        read = [values[letter] for letter in text]
        signed = (-a if a < b else a for a, b in zip(read, [*read[1:], 0], strict=True))
        assert sum(signed) == int(subject)
        assert not re.search(r"(.)\1{3}|VV|LL", text)
    assert all(int(text, 2) == int(subject) for subject, text in answers("number_binary").items())
    assert all(int(text) == int(subject) ** 2 for subject, text in answers("number_square").items())
    assert all(int(text) == int(subject) ** 3 for subject, text in answers("number_cube").items())
    assert all(int(text) == 2 * int(subject) for subject, text in answers("number_double").items())
    primes = [p for p in range(2, 151) if all(p % d for d in range(2, p))]
    for subject, text in answers("number_largest_prime_factor").items():
        assert int(text) == max(p for p in primes if int(subject) % p == 0)
    spelled = answers("number_words")
    assert (spelled["13"], spelled["47"], spelled["80"]) == ("thirteen", "forty-seven", "eighty")
    assert len(set(spelled.values())) == len(spelled)


def test_sums_and_products() -> None:
    for name, sign in (("sum_pair", " + "), ("product_pair", " x ")):
        pairs = [tuple(map(int, subject.split(sign))) for subject in answers(name)]
        assert len({tuple(sorted(pair)) for pair in pairs}) == len(pairs) == 160
        right = [a + b if sign == " + " else a * b for a, b in pairs]
        assert right == [int(text) for text in answers(name).values()]


def test_calendar() -> None:
    days = [MONDAY + timedelta(days=step) for step in range(7)]
    for subject, text in answers("weekday_after").items():
        step, name = int(subject.split()[0]), subject.split()[-1]
        start = next(day for day in days if f"{day:%A}" == name)
        assert f"{start + timedelta(days=step):%A}" == text
    months = [f"{date(2024, month, 1):%B}" for month in range(1, 13)]
    for subject, text in answers("month_after").items():
        step, name = int(subject.split()[0]), subject.split()[-1]
        assert months[(months.index(name) + step) % 12] == text
    assert answers("month_number") == {name: str(place) for place, name in enumerate(months, start=1)}


def test_compounds_hold_real_elements_and_no_distractor_has_the_same_atoms() -> None:
    symbols = set(answers("element_symbol").values())
    for fact in FAMILIES["compound_formula"].facts:
        assert set(atoms(fact.answer)) <= symbols, fact
        assert all(atoms(wrong) != atoms(fact.answer) for wrong in fact.distractors), fact


def test_loose_words_are_never_wrong_answers() -> None:
    loose = {"herd", "flock", "pack", "swarm", "colony"}
    assert not any(loose & set(fact.distractors) for fact in FAMILIES["animal_group"].facts)
    assert set(answers("animal_class").values()) == {
        "mammal", "bird", "reptile", "fish", "amphibian", "insect", "arachnid", "crustacean", "mollusc",
    }  # fmt: skip
