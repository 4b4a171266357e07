"""Chemical compounds and their formulas, written in ASCII (H2O)."""

import re

from raycalib.sources.facts.family import Family, make_family, read_table


def families() -> tuple[Family, ...]:
    """The formula of each compound; wrong answers are formulas of nearly the same elements."""
    rows = read_table("compounds")
    elements = {row["formula"]: set(re.findall("[A-Z][a-z]?", row["formula"])) for row in rows}

    def near(_: str, answer: str) -> list[str]:
        return sorted(
            (other for other in elements if other != answer),
            key=lambda other: len(elements[other] ^ elements[answer]),
        )[:8]

    return (
        make_family(
            "compound_formula",
            "compound",
            (
                "What is the chemical formula of {subject}?",
                "Which chemical formula does {subject} have?",
                "How do chemists write {subject} as a formula?",
                "By which chemical formula is {subject} denoted?",
            ),
            [(row["compound"], row["formula"]) for row in rows],
            near,
        ),
    )
