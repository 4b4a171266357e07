"""Right answers, and answers to be labelled, of rows of a file: read as the right answers of questions are."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.own.columns import OwnColumns
from raycalib.sources.own.peek import PEEKED_ROWS, peek
from raycalib.sources.own.right_answers import RightAnswers, alias_texts, right_answers, texts_of
from raycalib.sources.own.values import as_text, value_of

RIGHT = OwnColumns(answer="target", aliases="aliases")
GIVEN = OwnColumns(answer="answer")


class GivenAnswers:
    """Reads the columns ``target``, ``aliases`` and ``answer`` as what the first rows tell that they hold."""

    def __init__(self, rows: Iterable[RawRow]) -> None:
        """Looks at the first rows."""
        first = list(islice(rows, PEEKED_ROWS))
        self._right = peek(RIGHT, first).told(RIGHT)
        self._given = peek(GIVEN, first).told(GIVEN)

    def right(self, row: Mapping[str, Any], question: str) -> RightAnswers | None:
        """The right answers, of which the first is an alias where there is no other; None where there is none at all.

        Raises:
            UnusableRowError: a value that cannot be one.
        """
        if texts_of(value_of(row, "target"), "target", self._right, question):
            return right_answers(row, self._right, question)
        first, *others = alias_texts(row, self._right, question) or [""]
        return RightAnswers(first, tuple(others)) if first else None

    def answer(self, row: Mapping[str, Any]) -> str | None:
        """The answer, which may be empty; None where the row has none.

        Raises:
            UnusableRowError: a value that cannot be one.
        """
        value = value_of(row, "answer")
        if value is None or value != value:
            return None
        return str(value) if isinstance(value, bool) else as_text(value, "answer", self._given)
