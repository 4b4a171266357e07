"""Units of measurement (symbol, quantity) and exact conversions between units."""

from raycalib.sources.facts.family import Family, make_family, read_table
from raycalib.sources.facts.numbers import as_texts

# Quantities that one unit may be said to measure (mass and weight, minute of time and of arc).
_ALIKE = (
    {"mass", "force"},
    {"mass", "energy"},
    {"time", "angle"},
    {"angle", "solid angle"},
    {"absorbed dose", "equivalent dose"},
    {"frequency", "radioactivity", "symbol rate", "information"},
    {"magnetic flux", "magnetic flux density"},
    {"luminous flux", "luminous intensity", "illuminance"},
)


def _near_count(_: str, answer: str) -> list[str]:
    """Other powers of ten for a power of ten, else slips of the number."""
    count = int(answer)
    if count >= 10 and count == 10 ** (len(answer) - 1):
        return as_texts(
            value
            for value in (
                count * 10,
                count // 10,
                count * 100,
                count // 100,
                count // 2,
                count * 2,
                count * 12 // 10,
                count * 1000,
            )
        )
    step = 10 ** max(0, len(answer) - 2)
    return as_texts(
        (
            count + 2 * step,
            count - step,
            count + 4 * step,
            count * 2,
            count // 2,
            count - 2 * step,
            count + step,
            count * 10,
            count * 3,
        )
    )


def families() -> tuple[Family, ...]:
    """Symbols and quantities of units; how many of one unit make another."""
    rows = read_table("units")
    symbols = [row["symbol"] for row in rows if row["symbol"]]
    quantities = [row["quantity"] for row in rows if row["quantity"]]

    def near_symbols(_: str, answer: str) -> list[str]:
        """Symbols nearest in the table that differ in more than the case of their letters."""
        place = symbols.index(answer)
        others = sorted(range(len(symbols)), key=lambda index: abs(index - place))
        return list(dict.fromkeys(symbols[i] for i in others if symbols[i].lower() != answer.lower()))[:8]

    def near_quantities(_: str, answer: str) -> list[str]:
        """Quantities nearest in the table that the same unit cannot measure."""
        alike = {answer}.union(*(words for words in _ALIKE if answer in words))
        place = quantities.index(answer)
        others = sorted(range(len(quantities)), key=lambda index: abs(index - place))
        return list(dict.fromkeys(quantities[i] for i in others if quantities[i] not in alike))[:8]

    return (
        make_family(
            "unit_symbol",
            "unit",
            (
                "What is the symbol of the unit {subject}?",
                "Which symbol stands for the unit {subject}?",
                "How is the unit {subject} abbreviated?",
                "By which symbol is the unit {subject} denoted?",
            ),
            [(row["unit"], row["symbol"]) for row in rows],
            near_symbols,
        ),
        make_family(
            "unit_quantity",
            "unit",
            (
                "Which quantity is measured in the unit {subject}?",
                "What does the unit {subject} measure?",
                "Which physical quantity does the unit {subject} express?",
                "What kind of quantity has the unit {subject}?",
            ),
            [(row["unit"], row["quantity"]) for row in rows],
            near_quantities,
        ),
        make_family(
            "unit_conversion",
            "conversion",
            (
                "How many {subject}?",
                "What is the number of {subject}?",
                "Exactly how many {subject}?",
                "Can you say how many {subject}?",
            ),
            [(row["conversion"], row["count"]) for row in read_table("conversions")],
            _near_count,
        ),
    )
