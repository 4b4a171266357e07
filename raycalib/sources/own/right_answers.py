"""The right answers of a row of your own, as their writer meant them: one, or a list of which any will do."""

from collections.abc import Mapping
import re
from typing import Any, NamedTuple

from raycalib.sources.files.raw_row import CsvCell
from raycalib.sources.hub.final_answer import final_answer
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.own.columns import OwnColumns
from raycalib.sources.own.listed import fields_of, listed
from raycalib.sources.own.values import as_text, value_of

TRUTH = {"true": True, "false": False}
WORDS = {True: ("Yes", "True"), False: ("No", "False")}
ASKS_TRUE_OR_FALSE = re.compile(r"\btrue\s*(?:or|/)\s*false\b|\bt\s*/\s*f\b", re.IGNORECASE)
MAIN_FIELDS = ("value", "text", "answer", "name")
"""Of a struct that is a right answer, the field with its text or texts, in order of preference."""
OTHERS = "aliases"
DEEPEST = 4


class RightAnswers(NamedTuple):
    """What is right.

    Attributes:
        target: the first right answer.
        aliases: the others.
        solution: the first with its reasons, where the row has them.
    """

    target: str
    aliases: tuple[str, ...] = ()
    solution: str = ""


def right_answers(row: Mapping[str, Any], columns: OwnColumns, question: str) -> RightAnswers:
    """The right answers without options, those of the column of aliases last.

    Raises:
        UnusableRowError: there is none, or a value that cannot be one.
    """
    column = columns.answer or ""
    texts = texts_of(value_of(row, column), column, columns, question)
    if not texts:
        raise UnusableRowError(f"{column!r} is empty", column)
    solution, target = "", texts[0]
    if column in columns.solved and (final := final_answer(target)):
        solution, target = target, final
    others = dict.fromkeys(text for text in (*texts[1:], *alias_texts(row, columns, question)) if text != target)
    return RightAnswers(target, tuple(others), solution)


def alias_texts(row: Mapping[str, Any], columns: OwnColumns, question: str) -> list[str]:
    """The texts of the column of aliases; none where there is no such column."""
    if columns.aliases is None:
        return []
    return texts_of(value_of(row, columns.aliases), columns.aliases, columns, question)


def texts_of(value: Any, column: str, columns: OwnColumns, question: str = "", depth: int = DEEPEST) -> list[str]:
    """The different texts that a value stands for, empty ones left out.

    A list is each of its parts; a struct its text, and its aliases (``{"value": …, "aliases": […]}``,
    ``{"text": […]}``); a truth value is Yes or No, and True or False, in the order that the question asks for.

    Raises:
        UnusableRowError: it is none of these.
    """
    if isinstance(value, str) and column in columns.listed:
        value = _unwritten(value, column)
    if type(value) is CsvCell and column in columns.truths:
        value = TRUTH.get(value.strip().lower(), value)
    if isinstance(value, bool):
        words = WORDS[value]
        return list(reversed(words) if ASKS_TRUE_OR_FALSE.search(question) else words)
    if isinstance(value, list | tuple | Mapping):
        if depth == 0:
            raise UnusableRowError(f"{column!r} holds lists in lists in lists", column)
        parts = _parts(value, column) if isinstance(value, Mapping) else value
        found = (texts_of(part, column, columns, question, depth - 1) for part in parts)
        return list(dict.fromkeys(text for texts in found for text in texts))
    text = as_text(value, column, columns)
    return [text] if text.strip() else []


def _unwritten(text: str, column: str) -> Any:
    """What a text of a column of lists or structs stands for; one that does not begin like them is itself."""
    found: Any = listed(text)
    found = fields_of(text) if found is None else found
    if found is None and text.strip() == "[]":
        return []
    if found is None and text.lstrip().startswith(("[", "{")):
        raise UnusableRowError(f"{column!r} holds lists, and {text.strip()[:40]!r} cannot be read as one", column)
    return text if found is None else found


def _parts(fields: Mapping[str, Any], column: str) -> list[Any]:
    main = next((name for name in MAIN_FIELDS if name in fields), None)
    if main is None:
        names = [str(name)[:40] for name in fields]
        raise UnusableRowError(
            f"{column!r} holds the fields {', '.join(names[:8])}; name the one with the text as answer_column, such as "
            f"{column}.{names[0] if names else 'text'}",
            column,
        )
    return [fields[main], fields.get(OTHERS)]
