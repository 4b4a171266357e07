"""The chemical elements: symbol, atomic number, category (from the table), period and group (computed)."""

from raycalib.sources.facts.family import Family, make_family, read_table
from raycalib.sources.facts.numbers import as_texts

_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)
_OVERLAPPING = {
    "halogen": "nonmetal",
    "noble gas": "nonmetal",
    "lanthanide": "transition metal",
    "actinide": "transition metal",
}


def period(number: int) -> int:
    """Row of the periodic table that holds the element of this atomic number."""
    return sum(number > noble for noble in _NOBLE)


def group(number: int) -> int | None:
    """Column of the periodic table; None for hydrogen and the f-block, where books disagree."""
    row = period(number)
    before, last = _NOBLE[row - 1], _NOBLE[row]
    from_left, from_right = number - before, 18 - (last - number)
    if number == 1:
        return None
    if from_left <= 2 and number != 2:
        return from_left
    if row >= 6 and from_right <= 3:
        return None
    return from_right


_PHRASINGS = {
    "element_symbol": (
        "What is the chemical symbol of {subject}?",
        "Which symbol stands for {subject} in the periodic table?",
        "How is the element {subject} abbreviated in chemistry?",
        "By which symbol do chemists denote {subject}?",
    ),
    "element_atomic_number": (
        "What is the atomic number of {subject}?",
        "How many protons does an atom of {subject} have?",
        "Which atomic number does the element {subject} have?",
        "How many protons are in the nucleus of {subject}?",
    ),
    "element_period": (
        "In which period of the periodic table is {subject}?",
        "Which period does the element {subject} belong to?",
        "What is the period number of {subject} in the periodic table?",
        "Which row of the periodic table, counted from the top, holds {subject}?",
    ),
    "element_category": (
        "To which category of elements does {subject} belong?",
        "What type of element is {subject}?",
        "How is {subject} classified in the periodic table?",
        "In the usual classification of the elements, what is {subject}?",
    ),
    "element_group": (
        "In which group (1 to 18) of the periodic table is {subject}?",
        "What is the group number of {subject} in the periodic table?",
        "Which of the 18 groups of the periodic table holds {subject}?",
        "Which column of the 18-column periodic table contains {subject}?",
    ),
}


def families() -> tuple[Family, ...]:
    """Symbol, atomic number, period, category and group of each element."""
    rows = read_table("elements")
    symbols = [row["symbol"] for row in rows]
    categories = list(dict.fromkeys(row["category"] for row in rows if row["category"]))
    numbers = {row["element"]: int(row["atomic_number"]) for row in rows}

    def near_symbols(element: str, answer: str) -> list[str]:
        slips = [element[0].upper() + letter for letter in dict.fromkeys(element[1:5])]
        return slips[:4] + [symbol for symbol in symbols if symbol[0] == element[0].upper()]

    def near_numbers(_: str, answer: str) -> list[str]:
        number = int(answer)
        return as_texts((number + step for step in (1, -1, 2, -2, 8, -8, 10, -10, 3, -3)), high=118)

    def near_groups(_: str, answer: str) -> list[str]:
        return as_texts((int(answer) + step for step in (1, -1, 2, -2, 10, -10, 3, -3)), high=18)

    def near_categories(_: str, answer: str) -> list[str]:
        return [category for category in categories if category not in (answer, _OVERLAPPING.get(answer))]

    return (
        make_family(
            "element_symbol",
            "element",
            _PHRASINGS["element_symbol"],
            [(row["element"], row["symbol"]) for row in rows],
            near_symbols,
        ),
        make_family(
            "element_atomic_number",
            "element",
            _PHRASINGS["element_atomic_number"],
            [(row["element"], row["atomic_number"]) for row in rows],
            near_numbers,
        ),
        make_family(
            "element_period",
            "element",
            _PHRASINGS["element_period"],
            [(element, str(period(number))) for element, number in numbers.items()],
        ),
        make_family(
            "element_category",
            "element",
            _PHRASINGS["element_category"],
            [(row["element"], row["category"]) for row in rows],
            near_categories,
        ),
        make_family(
            "element_group",
            "element",
            _PHRASINGS["element_group"],
            [(element, str(group(number) or "")) for element, number in numbers.items()],
            near_groups,
        ),
    )
