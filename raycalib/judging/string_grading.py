"""Grading by comparing strings: the paper's substring rule, and an exact one that says what it means."""

from typing import Literal, get_args

from raycalib.errors import ConfigError
from raycalib.judging.grade import Grade
from raycalib.judging.normalized import normalized

GraderName = Literal["exact", "substring", "judge"]
GRADERS: tuple[str, ...] = get_args(GraderName)
STRING_GRADERS = ("exact", "substring")

NO_TARGET = "the question has no right answer to compare with"


def grade(target: str, answer: str, style: str, grader: GraderName) -> Grade:
    """Grades a sanitized answer without asking a model.

    ``exact`` compares both texts as ``normalized`` gives them, whole. ``substring`` is the paper's rule: the target
    occurs in the answer, to the letter; so ``4`` is found in ``14``. In the ``choice`` style every grader compares the
    option's letter.

    Args:
        target: the right answer, or the right option's letter.
        answer: the sanitized answer.
        style: ``oe`` or ``choice``.
        grader: which rule; ``judge`` only in the ``choice`` style.

    Raises:
        ConfigError: an unknown grader, or a judge for an open-ended answer.

    >>> grade("the Nile", "Nile", "oe", "exact").query_label
    1
    >>> grade("4", "14", "oe", "substring").query_label, grade("4", "14", "oe", "exact").query_label
    (1, 0)
    """
    if grader not in GRADERS:
        raise ConfigError(f"grader: {grader!r} is unknown; allowed: {', '.join(GRADERS)}")
    if not target.strip():
        return Grade(None, NO_TARGET)
    if style == "choice":
        return Grade(int(answer.strip() == target.strip()))
    if grader == "judge":
        raise ConfigError("grader: 'judge' reads open-ended answers through a model, not by comparing strings")
    if grader == "substring":
        return Grade(int(target in answer))
    wanted = normalized(target)
    if not wanted:
        return Grade(None, f"the right answer {target!r} is punctuation alone; grade it by substring")
    return Grade(int(wanted == normalized(answer)))
