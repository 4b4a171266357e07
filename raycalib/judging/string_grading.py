"""Grading by comparing strings: rules from strict to lenient, each of which says what it means."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from raycalib.errors import ConfigError
from raycalib.judging.grade import Grade
from raycalib.judging.letter import letter_of
from raycalib.judging.normalized import normalized, only_folded

GraderName = Literal["exact", "contains", "substring", "judge"]
GRADERS: tuple[str, ...] = get_args(GraderName)
StringGraderName = Literal["exact", "contains", "substring"]
STRING_GRADERS: tuple[StringGraderName, ...] = get_args(StringGraderName)
STRING_RULES_VERSION = 3
"""Goes up where a rule labels any answer otherwise; part of what labelled answers are known by."""

NO_TARGET = "the question has no right answer to compare with"


def grade(target: str, answer: str, style: str, grader: GraderName, aliases: Sequence[str] = ()) -> Grade:
    """Grades a sanitized answer without asking a model; any of several right answers will do.

    - ``exact``: both texts are equal as ``normalized`` gives them, whole.
    - ``contains``: the right answer's words, as ``normalized`` gives them, stand in the answer one after the other.
    - ``substring``: the paper's rule: the right answer occurs in the answer to the letter, so ``4`` is found in ``14``.

    Of a right answer that is punctuation alone the first two compare the characters themselves. In the ``choice`` style
    ``substring`` looks for the option's letter anywhere in the answer, as the paper does; every other grader takes the
    answer for the letter that it is by the rule ``letter`` (``letter_of``).

    Args:
        target: the right answer, or the right option's letter.
        answer: the sanitized answer.
        style: ``oe`` or ``choice``.
        grader: which rule; ``judge`` only in the ``choice`` style.
        aliases: other right answers.

    Raises:
        ConfigError: an unknown grader, or a judge for an open-ended answer.

    >>> grade("the Nile", "Nile", "oe", "exact").query_label
    1
    >>> [grade("4", "14", "oe", grader).query_label for grader in STRING_GRADERS]
    [0, 0, 1]
    >>> [grade("4", "It is 4.", "oe", grader).query_label for grader in STRING_GRADERS]
    [0, 1, 1]
    >>> grade("Bombay", "Mumbai", "oe", "exact", ["Mumbai"]).query_label
    1
    """
    if grader not in GRADERS:
        raise ConfigError(f"grader: {grader!r} is unknown; allowed: {', '.join(GRADERS)}")
    right = [text for text in (target, *aliases) if text.strip()]
    if not right:
        return Grade(None, NO_TARGET)
    if style != "choice" and grader == "judge":
        raise ConfigError("grader: 'judge' reads open-ended answers through a model, not by comparing strings")
    rule = _letter if style == "choice" and grader != "substring" else RULES[grader]
    return Grade(int(any(rule(text, answer) for text in right)))


def _letter(target: str, answer: str) -> bool:
    letter = letter_of(target)
    return answer.strip() == target.strip() or (letter is not None and letter_of(answer) == letter)


def _exact(target: str, answer: str) -> bool:
    form = _form(target)
    return form(target) == form(answer)


def _contains(target: str, answer: str) -> bool:
    form = _form(target)
    return f" {form(target)} " in f" {form(answer)} "


def _form(target: str) -> Callable[[str], str]:
    """What both texts are compared as: words where there are any, else punctuation, else the characters themselves."""
    return next((form for form in (normalized, only_folded) if form(target)), str.strip)


def _substring(target: str, answer: str) -> bool:
    return target in answer


RULES: dict[str, Callable[[str, str], bool]] = {"exact": _exact, "contains": _contains, "substring": _substring}
