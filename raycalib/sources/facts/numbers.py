"""Facts about the numbers 1 to 150, all computed: Roman numerals, words, binary, squares, cubes, factors."""

from collections.abc import Iterable

from raycalib.sources.facts.family import Family, make_family

HIGHEST = 150
_ROUND = (10, 100, 20, 50, 30, 40, 60, 70, 80, 90)
_HIGHEST_CUBE = 60
_HIGHEST_WORDS = 100  # above, "one hundred and one" and "one hundred one" are both right
_ROMAN = ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
# fmt: off
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen",
    "sixteen", "seventeen", "eighteen", "nineteen",
)
# fmt: on
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def as_texts(values: Iterable[int], *, high: int | None = None) -> list[str]:
    """The values from 1 to ``high`` as decimal text."""
    return [str(value) for value in values if value >= 1 and (high is None or value <= high)]


def roman(number: int) -> str:
    """Roman numeral of a number from 1 to 399."""
    text = ""
    for value, letters in _ROMAN:
        text += letters * (number // value)
        number %= value
    return text


def words(number: int) -> str:
    """English words of a number from 0 to 100."""
    if number == 100:
        return "one hundred"
    if number < 20:
        return _SMALL[number]
    tens, units = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_SMALL[units]}" if units else "")


def prime_factors(number: int) -> list[int]:
    """The distinct prime factors, smallest first; empty for 1."""
    factors = []
    divisor = 2
    while number > 1:
        if number % divisor == 0:
            factors.append(divisor)
            while number % divisor == 0:
                number //= divisor
        divisor += 1
    return factors


def _around(number: int, high: int = HIGHEST) -> list[int]:
    """Numbers that are easily taken for this one, from 1 to ``high``."""
    swapped = int(str(number)[::-1])
    near = (
        number + 1,
        number - 1,
        number + 10,
        swapped,
        number - 10,
        number + 2,
        number - 2,
        number + 5,
        number - 5,
        number + 3,
        number + 4,
        number + 6,
    )
    return [other for other in near if 1 <= other <= high and other != number]


def _near_binary(subject: str, answer: str) -> list[str]:
    near = [f"{other:b}" for other in _around(int(subject))]
    turned = answer[::-1]
    return near[:2] + ([turned] if turned[0] == "1" else []) + [answer + "0"] + near[2:]


def _near_square(subject: str, answer: str) -> list[str]:
    n, square = int(subject), int(answer)
    return as_texts(
        (
            (n + 1) ** 2,
            (n - 1) ** 2,
            2 * n,
            square + 10,
            square - 10,
            n * (n + 1),
            square + n + 2,
            square + 2,
            square + 4,
            square + 5,
        )
    )


def _near_cube(subject: str, answer: str) -> list[str]:
    n, cube = int(subject), int(answer)
    return as_texts(
        (
            (n + 1) ** 3,
            (n - 1) ** 3,
            n * n,
            3 * n,
            cube + 10,
            cube - 10,
            n * n * (n + 1),
            cube + 2,
            cube + 4,
            cube + 6,
        )
    )


def _near_double(subject: str, answer: str) -> list[str]:
    n, double = int(subject), int(answer)
    return as_texts(
        (
            double + 2,
            double - 2,
            double + 10,
            double - 10,
            3 * n,
            n + 2,
            double + 1,
            double - 1,
            double + 4,
            double + 20,
        )
    )


def _near_factor(subject: str, answer: str) -> list[str]:
    n, largest = int(subject), int(answer)
    return as_texts(
        (*reversed(prime_factors(n)), n, n // largest, largest + 2, largest - 2, 3, 2, 5, 7, 11, 13, 17),
        high=HIGHEST,
    )


_PHRASINGS = {
    "number_roman": (
        "What is {subject} in Roman numerals?",
        "How is the number {subject} written in Roman numerals?",
        "Which Roman numeral stands for {subject}?",
        "What is the Roman numeral of the number {subject}?",
    ),
    "number_square": (
        "What is the square of {subject}?",
        "What is {subject} squared?",
        "What do you get by multiplying {subject} by itself?",
        "Which number is the second power of {subject}?",
    ),
    "number_words": (
        "How is the number {subject} written in English words?",
        "How do you spell out {subject} in English?",
        "What is {subject} in English words?",
        "Which English number word stands for {subject}?",
    ),
    "number_binary": (
        "What is the decimal number {subject} in binary?",
        "How is {subject} written in base 2?",
        "What is the binary form of the decimal number {subject}?",
        "Which binary number equals decimal {subject}?",
    ),
    "number_double": (
        "What is twice {subject}?",
        "What is the double of {subject}?",
        "Which number is two times {subject}?",
        "What do you get when you double {subject}?",
    ),
    "number_cube": (
        "What is the cube of {subject}?",
        "What is {subject} cubed?",
        "What is {subject} to the power of 3?",
        "Which number is the third power of {subject}?",
    ),
    "number_largest_prime_factor": (
        "What is the largest prime factor of {subject}?",
        "Which prime is the greatest prime factor of {subject}?",
        "What is the largest prime number that divides {subject}?",
        "What is the biggest prime in the factorization of {subject}?",
    ),
}


def families() -> tuple[Family, ...]:
    """Every family about the numbers 1 to 150, round numbers first."""
    order = [*_ROUND, *(n for n in range(1, HIGHEST + 1) if n not in _ROUND)]
    return (
        make_family(
            "number_roman",
            "number",
            _PHRASINGS["number_roman"],
            [(str(n), roman(n)) for n in order],
            lambda subject, _: [roman(other) for other in _around(int(subject))],
        ),
        make_family(
            "number_square",
            "number",
            _PHRASINGS["number_square"],
            [(str(n), str(n * n)) for n in order],
            _near_square,
        ),
        make_family(
            "number_words",
            "number",
            _PHRASINGS["number_words"],
            [(str(n), words(n) if n <= _HIGHEST_WORDS else "") for n in order],
            lambda subject, _: [words(other) for other in _around(int(subject), _HIGHEST_WORDS)],
        ),
        make_family(
            "number_binary",
            "number",
            _PHRASINGS["number_binary"],
            [(str(n), f"{n:b}") for n in order],
            _near_binary,
        ),
        make_family(
            "number_double",
            "number",
            _PHRASINGS["number_double"],
            [(str(n), str(2 * n)) for n in order],
            _near_double,
        ),
        make_family(
            "number_cube",
            "number",
            _PHRASINGS["number_cube"],
            [(str(n), str(n**3) if n <= _HIGHEST_CUBE else "") for n in order],
            _near_cube,
        ),
        make_family(
            "number_largest_prime_factor",
            "number",
            _PHRASINGS["number_largest_prime_factor"],
            [(str(n), str(prime_factors(n)[-1]) if n > 1 else "") for n in order],
            _near_factor,
        ),
    )
