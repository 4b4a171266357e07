"""Grading by comparing strings: the paper's substring rule, and an exact one that says what it means."""

import re
from typing import Literal, NamedTuple, get_args

from raycalib.errors import ConfigError

GraderName = Literal["exact", "substring"]
GRADERS: tuple[str, ...] = get_args(GraderName)


class Grade(NamedTuple):
    """1 correct, 0 not, None unscored with the reason."""

    query_label: int | None
    unscored_reason: str | None = None


def grade(target: str, answer: str, style: str, grader: GraderName) -> Grade:
    """Grades a sanitized answer.

    ``exact`` compares both texts after case, articles, punctuation at the ends and runs of spaces are folded.
    ``substring`` is the paper's rule: the target occurs in the answer, to the letter; so ``4`` is found in ``14``.
    In the ``choice`` style both compare the option's letter.

    Args:
        target: the right answer, or the right option's letter.
        answer: the sanitized answer.
        style: ``oe`` or ``choice``.
        grader: which rule.

    Raises:
        ConfigError: an unknown grader.

    >>> grade("the Nile", "Nile", "oe", "exact").query_label
    1
    >>> grade("4", "14", "oe", "substring").query_label, grade("4", "14", "oe", "exact").query_label
    (1, 0)
    """
    if grader not in GRADERS:
        raise ConfigError(f"grader: {grader!r} is unknown; allowed: {', '.join(GRADERS)}")
    if not target.strip():
        return Grade(None, "the question has no right answer to compare with")
    if style == "choice":
        return Grade(int(answer.strip() == target.strip()))
    if grader == "substring":
        return Grade(int(target in answer))
    if not _folded(target):
        return Grade(None, f"the right answer {target!r} is punctuation alone; grade it by substring")
    return Grade(int(_folded(target) == _folded(answer)))


def _folded(text: str) -> str:
    words = re.sub(r"\s+", " ", text.casefold()).strip(" .,;:!?\"'").split(" ")
    kept = words[1:] if len(words) > 1 and words[0] in {"a", "an", "the"} else words
    return " ".join(kept)
