"""Presidents of the United States: their number, the year they took office, their party."""

from raycalib.sources.facts.family import Family, make_family, read_table

NUMBER_PHRASINGS = (
    "What number president of the United States was {subject}?",
    "In the numbered list of US presidents, which number does {subject} have?",
    "By number, which president of the United States was {subject}?",
    "What is the number of {subject} in the order of US presidents?",
)
YEAR_PHRASINGS = (
    "In what year did {subject} first become president of the United States?",
    "In which year did {subject} first take office as US president?",
    "What year did the first presidency of {subject} in the United States begin?",
    "When did {subject} first enter office as president of the United States, by year?",
)
PARTY_PHRASINGS = (
    "Which party did {subject} represent as president of the United States?",
    "Of which political party was {subject} a member while US president?",
    "As US president, {subject} belonged to which political party?",
    "What was the political party of {subject} as president of the United States?",
)
PARTIES = ("Democratic", "Republican", "Whig", "Federalist", "Democratic-Republican")
FIRST_YEAR, LAST_YEAR, LAST_NUMBER = 1789, 2025, 47
NUMBER_OFFSETS = (-1, 1, 2, -2, 3, -3, 4, -4)
YEAR_OFFSETS = (4, -4, 8, -8, -1, 2, -12, 12)


def families() -> tuple[Family, ...]:
    """The families ``president_number``, ``president_year`` and ``president_party``."""
    rows = read_table("us_presidents")
    number, year, party = ([(row["name"], row[column]) for row in rows] for column in ("number", "year", "party"))
    return (
        make_family(
            "president_number",
            "president",
            NUMBER_PHRASINGS,
            number,
            lambda _, n: _shifted(n, NUMBER_OFFSETS, 1, LAST_NUMBER),
        ),
        make_family(
            "president_year",
            "president",
            YEAR_PHRASINGS,
            year,
            lambda _, y: _shifted(y, YEAR_OFFSETS, FIRST_YEAR, LAST_YEAR),
        ),
        make_family("president_party", "president", PARTY_PHRASINGS, party, lambda *_: PARTIES),
    )


def _shifted(value: str, offsets: tuple[int, ...], lowest: int, highest: int) -> list[str]:
    """The value moved by each offset, within the bounds."""
    return [str(int(value) + offset) for offset in offsets if lowest <= int(value) + offset <= highest]
