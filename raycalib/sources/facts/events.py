"""Historical events: the event → the year in which it happened."""

from raycalib.sources.facts.family import Family, make_family, read_table

PHRASINGS = (
    "In what year did {subject} happen?",
    "In which year did {subject} take place?",
    "What was the year of {subject}?",
    "Which year saw {subject}?",
)
LAST_YEAR = 2025
# Distances of the wrong years from the right one; each event uses one row.
OFFSETS = (
    (-1, 2, -5, 9, -14),
    (1, -2, 4, -10, 17),
    (3, -3, -7, 8, -20),
    (-4, 5, 1, -12, 11),
    (2, 6, -6, 13, -9),
    (-2, -11, 3, 7, 20),
)


def families() -> tuple[Family, ...]:
    """The family ``event_year``; wrong answers are near years, then years of other events."""
    pairs = [(row["event"], row["year"]) for row in read_table("events")]
    return (make_family("event_year", "event", PHRASINGS, pairs, _near_years),)


def _near_years(event: str, year: str) -> list[str]:
    """Years close to the right one, at distances fixed by the letters of the event."""
    offsets = OFFSETS[sum(map(ord, event)) % len(OFFSETS)]
    return [str(int(year) + offset) for offset in offsets if 0 < int(year) + offset <= LAST_YEAR]
