"""Which columns of your own questions hold what: as named, or found by their usual names."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import takewhile
from string import ascii_lowercase
from typing import Any

from raycalib.errors import DataError

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "question": ("question", "query", "problem", "question_text", "question_stem", "stem", "prompt", "input"),
    "answer": ("answer", "target", "answer_text", "correct_answer", "reference", "gold", "output"),
    "aliases": ("aliases", "answer_aliases", "alternative_answers", "accepted_answers"),
    "choices": ("choices", "options", "candidates", "endings"),
    "answer_index": ("answer_index", "answer_idx", "label", "answerKey", "answer_key", "correct_index", "gold_index"),
    "context": ("context", "passage", "paragraph", "support", "background"),
    "task": ("task",),
    "split": ("split",),
}
"""In order of preference; capital letters do not matter."""

NAMES_OF_SEVERAL = (
    "answers", "possible_answers", "correct_answers", "golden_answers", "gold_answers", "targets", "references",
    "ground_truth", "ground_truths", "acceptable_answers", "reference_answers",
)  # fmt: skip
"""Of right answers, looked for last, and only where no column names the right one of some options."""

LETTERED_NAMES = ("{}", "option_{}", "option{}", "option {}", "choice_{}", "choice{}", "choice {}", "opt_{}", "op{}")
"""Names of columns that hold one option each, with a letter from a on; capital letters do not matter."""

LEFT_OUT = "none"
"""Names no column: what a usual name would find is not read."""


@dataclass(frozen=True, kw_only=True)
class ColumnNames:
    """The columns that a user names; None has the usual names looked for, ``none`` reads none.

    Attributes:
        question: of the question.
        answer: of the right answer's text, or of a list of right answers.
        aliases: of other right answers.
        choices: of the options, a list.
        answer_index: of the right option: its number from 0, or its letter.
        context: of a text that the question is about.
        task: what figures are broken down by.
        split: the run's split of a row, where rows come without splits.
    """

    question: str | None = None
    answer: str | None = None
    aliases: str | None = None
    choices: str | None = None
    answer_index: str | None = None
    context: str | None = None
    task: str | None = None
    split: str | None = None


MEANINGS = tuple(field.name for field in fields(ColumnNames))


@dataclass(frozen=True, kw_only=True)
class OwnColumns(ColumnNames):
    """The columns that are read, each None where there is none.

    Attributes:
        lettered: columns with one option each, in place of ``choices``.
        letters: columns whose name is one letter, whether they are read or not.
        whole: columns with fractional numbers that are all whole, as tables with nulls have whole numbers, or with
            times that are all midnight, as such tables have dates.
        listed: columns whose texts are lists or structs, written out.
        truths: columns of a csv that hold truth values alone.
        solved: columns whose texts are worked solutions with a final answer.
    """

    lettered: tuple[str, ...] = ()
    letters: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    truths: frozenset[str] = frozenset()
    solved: frozenset[str] = frozenset()

    def used(self) -> list[str]:
        """The names of all columns that are read."""
        named = [name for meaning in MEANINGS if (name := getattr(self, meaning)) is not None]
        return list(dict.fromkeys([*named, *self.lettered]))

    def describe(self) -> str:
        """Which column is read as what, in one line."""
        named = {meaning: repr(name) for meaning in MEANINGS if (name := getattr(self, meaning)) is not None}
        if self.lettered:
            named["choices"] = ", ".join(map(repr, self.lettered))
        return ", ".join(f"{meaning} is {named[meaning]}" for meaning in MEANINGS if meaning in named)


def find_columns(place: str, names: Sequence[str], named: ColumnNames, needs_answer: bool = True) -> OwnColumns:
    """The columns of a table, as named or by their usual names.

    An index of the right option is looked for only where no column has the answer's text, and columns of one option
    each where none has all. Questions that are only asked need no right answer.

    Raises:
        DataError: a column that was named is not there, or a needed one is not found.
    """
    asked = {meaning: name for meaning in MEANINGS if (name := getattr(named, meaning)) is not None}
    left_out = {meaning for meaning, name in asked.items() if name == LEFT_OUT and LEFT_OUT not in names}
    for meaning, name in asked.items():
        if meaning not in left_out and name not in names and name.split(".")[0] not in names:
            raise DataError(
                f"source: {place} lacks the column {name!r} that {meaning}_column names; it has {', '.join(names)}"
            )
    taken = set(asked.values())
    found: dict[str, Any] = {}
    for meaning in MEANINGS:
        if meaning in left_out or (meaning == "answer_index" and meaning not in asked and found["answer"] is not None):
            found[meaning] = None
        else:
            found[meaning] = asked.get(meaning) or _usual(meaning, names, taken)
        taken.add(found[meaning] or "")
    lettered = _lettered(names, taken) if found["choices"] is None and "choices" not in left_out else ()
    if found["question"] is None:
        raise _lacks(place, "question", names)
    if (
        needs_answer
        and found["answer"] is None
        and (found["answer_index"] is None or (found["choices"] is None and not lettered))
    ):
        found["answer"] = None if "answer" in left_out else _first(NAMES_OF_SEVERAL, names, taken)
        found["answer_index"] = asked.get("answer_index")
        if found["answer"] is None:
            raise _lacks(place, "answer", names)
    letters = frozenset(name for name in names if len(name) == 1 and name.isalpha())
    return OwnColumns(**found, lettered=lettered, letters=letters)


def _by_lower(names: Sequence[str], taken: set[str]) -> dict[str, str]:
    return {name.lower(): name for name in reversed(names) if name not in taken}


def _usual(meaning: str, names: Sequence[str], taken: set[str]) -> str | None:
    return _first(USUAL_NAMES[meaning], names, taken)


def _first(usual_names: Sequence[str], names: Sequence[str], taken: set[str]) -> str | None:
    by_lower = _by_lower(names, taken)
    return next((by_lower[usual.lower()] for usual in usual_names if usual.lower() in by_lower), None)


def _lettered(names: Sequence[str], taken: set[str]) -> tuple[str, ...]:
    by_lower = _by_lower(names, taken)
    for pattern in LETTERED_NAMES:
        found = tuple(takewhile(by_lower.__contains__, map(pattern.format, ascii_lowercase)))
        if len(found) > 1:
            return tuple(by_lower[name] for name in found)
    return ()


def _lacks(place: str, meaning: str, names: Sequence[str]) -> DataError:
    return DataError(
        f"source: {place} lacks the column {meaning!r}; it has {', '.join(names) or 'none'}; needed: question, answer "
        "(or choices and answer_index); optional: aliases, options, context, task, split; a column of another name is "
        f"named by {meaning}_column (in a run, --source.{meaning.replace('_', '-')}-column)"
    )
