"""Facts of the calendar, all computed: days some days later, months some months later, numbers of months."""

from raycalib.sources.facts.family import Family, make_family
from raycalib.sources.facts.numbers import as_texts

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def _later(names: tuple[str, ...], unit: str) -> list[tuple[str, str]]:
    """("3 days after Monday", "Thursday") for every name and every step shorter than the cycle."""
    return [
        (f"{step} {unit}{'s' if step > 1 else ''} after {name}", names[(start + step) % len(names)])
        for step in range(1, len(names))
        for start, name in enumerate(names)
    ]


def _neighbours(names: tuple[str, ...], answer: str) -> list[str]:
    """The names next to the answer in the cycle, nearest first."""
    place = names.index(answer)
    return [names[(place + step) % len(names)] for step in (1, -1, 2, -2, 3, -3, 4, -4)]


def families() -> tuple[Family, ...]:
    """Days of the week and months, small steps first."""
    return (
        make_family(
            "weekday_after",
            "weekday",
            (
                "Which day of the week comes {subject}?",
                "What day is it {subject}?",
                "Which weekday falls {subject}?",
                "What is the name of the day {subject}?",
            ),
            _later(_DAYS, "day"),
            lambda _, answer: _neighbours(_DAYS, answer),
        ),
        make_family(
            "month_after",
            "month",
            (
                "Which month comes {subject}?",
                "What month is it {subject}?",
                "Which month of the year falls {subject}?",
                "What is the name of the month {subject}?",
            ),
            _later(_MONTHS, "month"),
            lambda _, answer: _neighbours(_MONTHS, answer),
        ),
        make_family(
            "month_number",
            "month",
            (
                "What number is {subject} among the months of the year?",
                "Which number does the month of {subject} have in the calendar?",
                "Counting from January as 1, what number is the month {subject}?",
                "Which month of the year, by number, is {subject}?",
            ),
            [(name, str(number)) for number, name in enumerate(_MONTHS, start=1)],
            lambda _, answer: as_texts((int(answer) + step for step in (1, -1, 2, -2, 3, -3, 4, -4)), high=12),
        ),
    )
