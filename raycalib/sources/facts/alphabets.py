"""Letters: NATO code words, Morse codes, places in the English and in the Greek alphabet."""

from raycalib.sources.facts.family import Family, make_family, read_table

NATO_PHRASINGS = (
    "What is the NATO code word for the letter {subject}?",
    "Which word stands for the letter {subject} in the NATO phonetic alphabet?",
    "In the NATO phonetic alphabet, what is the letter {subject} called?",
    "How is the letter {subject} spoken in the NATO spelling alphabet?",
)
MORSE_PHRASINGS = (
    "What is the Morse code for the letter {subject}?",
    "How is the letter {subject} written in international Morse code?",
    "Which sequence of dots and dashes stands for the letter {subject} in Morse code?",
    "In Morse code, what represents the letter {subject}?",
)
POSITION_PHRASINGS = (
    "What is the position of the letter {subject} in the English alphabet?",
    "Counting from A as 1, what is the number of the letter {subject} in the alphabet?",
    "At which place in the English alphabet does the letter {subject} stand?",
    "Which number does the letter {subject} have in alphabetical order?",
)
GREEK_PHRASINGS = (
    "What is the position of {subject} in the Greek alphabet?",
    "Counting from the first letter as 1, what is the number of {subject} in the Greek alphabet?",
    "At which place in the Greek alphabet does the letter {subject} stand?",
    "Which number does {subject} have in the order of the Greek letters?",
)


def families() -> tuple[Family, ...]:
    """The families ``nato_letter``, ``morse_letter``, ``letter_position`` and ``greek_order``."""
    rows = read_table("alphabet")
    nato = [(row["letter"], row["nato"]) for row in rows]
    decoys = {row["letter"]: row["decoys"].split() for row in rows}
    morse = [(row["letter"], row["morse"]) for row in rows]
    codes = [code for _, code in morse]
    position = [(letter, str(number)) for number, (letter, _) in enumerate(nato, start=1)]
    greek = [(row["name"], str(number)) for number, row in enumerate(read_table("greek"), start=1)]
    return (
        make_family("nato_letter", "letter", NATO_PHRASINGS, nato, lambda letter, _: decoys[letter]),
        make_family("morse_letter", "letter", MORSE_PHRASINGS, morse, lambda _, code: _near_codes(code, codes)),
        make_family(
            "letter_position",
            "letter",
            POSITION_PHRASINGS,
            position,
            lambda _, n: _near_numbers(n, len(position)),
        ),
        make_family("greek_order", "greek_letter", GREEK_PHRASINGS, greek, lambda _, n: _near_numbers(n, len(greek))),
    )


def _near_codes(code: str, codes: list[str]) -> list[str]:
    """All Morse codes, those most like the given one first."""

    def distance(other: str) -> tuple[int, int]:
        return abs(len(other) - len(code)), sum(a != b for a, b in zip(other, code, strict=False))

    return sorted(codes, key=distance)


def _near_numbers(number: str, last: int) -> list[str]:
    """The numbers from 1 to ``last``, those closest to the given one first."""
    return [str(other) for other in sorted(range(1, last + 1), key=lambda other: abs(other - int(number)))]
