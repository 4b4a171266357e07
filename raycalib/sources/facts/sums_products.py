"""Sums of two numbers from 2 to 60 and products of two numbers from 2 to 20: a fixed random choice."""

from itertools import combinations_with_replacement
import random

from raycalib.sources.facts.family import Family, make_family
from raycalib.sources.facts.numbers import as_texts

_COUNT = 160
_SEED = 20240


def _pairs(highest: int) -> list[tuple[int, int]]:
    """Pairs from 2..highest, no two of the same numbers, smallest sum first, each in a random order."""
    rng = random.Random(_SEED)
    chosen = rng.sample(list(combinations_with_replacement(range(2, highest + 1), 2)), _COUNT)
    return sorted(((a, b) if rng.random() < 0.5 else (b, a) for a, b in chosen), key=lambda pair: (sum(pair), pair))


def _near_sum(subject: str, answer: str) -> list[str]:
    a, b = (int(part) for part in subject.split(" + "))
    total = a + b
    return as_texts(
        (
            total + 10,
            total + 1,
            total - 1,
            total - 10,
            total + 2,
            total - 2,
            abs(a - b),
            total + 9,
            total + 11,
            total + 3,
        )
    )


def _near_product(subject: str, answer: str) -> list[str]:
    a, b = (int(part) for part in subject.split(" x "))
    return as_texts(
        (
            a * (b + 1),
            a * (b - 1),
            (a + 1) * b,
            (a - 1) * b,
            a * b + 10,
            a * b - 10,
            a * b + 2,
            a * b - 2,
            a + b,
            a * b + 1,
        )
    )


def families() -> tuple[Family, ...]:
    """Sums and products, small numbers first."""
    return (
        make_family(
            "sum_pair",
            "sum",
            (
                "What is {subject}?",
                "How much is {subject}?",
                "What does {subject} equal?",
                "What is the result of {subject}?",
            ),
            [(f"{a} + {b}", str(a + b)) for a, b in _pairs(60)],
            _near_sum,
        ),
        make_family(
            "product_pair",
            "product",
            (
                "What is {subject}?",
                "How much is {subject}?",
                "What does {subject} equal?",
                "What is the result of the multiplication {subject}?",
            ),
            [(f"{a} x {b}", str(a * b)) for a, b in _pairs(20)],
            _near_product,
        ),
    )
