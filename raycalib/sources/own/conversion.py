"""From a row of your own to an item; UnusableRowError says with the column's name why it cannot be one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from raycalib.sources.facts.splits import SPLITS
from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.hub.item import Item, Refusal, UnusableRowError
from raycalib.sources.hub.shown import sample
from raycalib.sources.own.answers import answer_index
from raycalib.sources.own.columns import OwnColumns
from raycalib.sources.own.options import read_options
from raycalib.sources.own.right_answers import RightAnswers, alias_texts, right_answers
from raycalib.sources.own.values import needed_text, optional_text, way_around

VALIDATION = "validation"
VALIDATION_NAMES = (VALIDATION, "valid", "val", "dev")
"""In order of preference."""

SPLIT_NAMES = {name: name for name in SPLITS} | dict.fromkeys(VALIDATION_NAMES, VALIDATION)
"""From what a column of splits may hold to what is meant."""


def convert_own_rows(columns: OwnColumns, rows: Iterable[RawRow]) -> Iterator[Item | Refusal]:
    """Converts rows one by one, in order."""
    position = 0
    for row_number, row, fault in rows:
        if fault:
            yield Refusal(row_number - 1, fault)
            continue
        try:
            item = own_item(columns, row, position)
        except UnusableRowError as error:
            yield Refusal(row_number - 1, str(error), error.field, content=sample(row))
            continue
        position += 1
        yield item


def own_item(columns: OwnColumns, row: Mapping[str, Any], position: int) -> Item:
    """The row as an item with the texts question, answer, task, split and the two ways to show a context.

    Raises:
        UnusableRowError: with the reason.
    """
    question = needed_text(row, columns.question or "", columns)
    options = read_options(row, columns)
    index = answer_index(row, columns, options) if options.texts else None
    if index is None:
        right = _answers_without_options(row, columns, question)
    else:
        right = RightAnswers(options.texts[index], _others(row, columns, question, options.texts[index]))
    context = optional_text(row, "context", columns.context, columns) if columns.context else ""
    texts = {
        "question": question,
        "answer": right.target.strip(),  # an answer has no outer spaces
        "context_line": f"Context: {context}\n" if context else "",
        "context_section": f"Context:\n{context}\n\n" if context else "",
        "task": optional_text(row, "task", columns.task, columns),
        "split": split_of_row(row, columns) if columns.split else "",
    }
    return Item(
        position=position,
        texts=texts,
        options=options.texts,
        answer=index,
        aliases=tuple(text.strip() for text in right.aliases),
        solution=right.solution,
    )


def _others(row: Mapping[str, Any], columns: OwnColumns, question: str, right: str) -> tuple[str, ...]:
    return tuple(text for text in alias_texts(row, columns, question) if text != right)


def split_of_row(row: Mapping[str, Any], columns: OwnColumns) -> str:
    """The split that a row names, ``validation`` under any of its names; empty where it names none.

    Raises:
        UnusableRowError: it is unknown.
    """
    text = optional_text(row, "split", columns.split, columns)
    if not text:
        return ""
    if text in SPLIT_NAMES:
        return SPLIT_NAMES[text]
    name = text.strip().lower()
    if name and name not in SPLIT_NAMES:
        reason = f"{columns.split!r} is {text[:40]!r}, which is unknown; allowed: {', '.join(SPLIT_NAMES)}"
        raise UnusableRowError(f"{reason}; {way_around('split')}", columns.split or "")
    return SPLIT_NAMES.get(name, "")


def _answers_without_options(row: Mapping[str, Any], columns: OwnColumns, question: str) -> RightAnswers:
    if columns.answer is None:
        column = columns.choices or columns.lettered[0]
        raise UnusableRowError(f"{column!r} is empty, and no column has the answer's text", column)
    right = right_answers(row, columns, question)
    if right.target.strip() in columns.letters:
        reason = f"the {columns.answer} is {right.target.strip()!r}, the name of a column, and the row has no options"
        raise UnusableRowError(reason, columns.answer)
    return right
