"""A row of a dataset as a question, or the reason why it cannot be one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One usable row, before a prompt style is chosen.

    Attributes:
        position: index among the usable rows of its split; seeds whatever is drawn for this row.
        texts: what fills the fields of the source's templates.
        options: the answers to choose from, in the order shown; empty where the source has none.
        answer: index of the right option; None where the source has no options.
        aliases: other right answers than the first, where no option is asked for.
        solution: the right answer with its reasons; empty where it has none.
    """

    position: int
    texts: Mapping[str, str]
    options: tuple[str, ...]
    answer: int | None
    aliases: tuple[str, ...] = ()
    solution: str = ""

    def asks_the_same(self, other: "Item", asked: Sequence[str]) -> bool:
        """Whether both put one question, outer spaces aside: then one gives away the other's answer.

        Args:
            other: of the same source.
            asked: names of the texts that are the question, whatever the options are; without any, options are it.
        """
        if not asked:
            return sorted(self.options) == sorted(other.options)
        return all(self.texts[name].strip() == other.texts[name].strip() for name in asked)


class Refusal(NamedTuple):
    """A row that cannot be used.

    Attributes:
        row: index in the split, before any row is left out.
        reason: one line that names the column.
        field: the column; empty where it is the row as a whole.
        expected: the dataset is known to have such rows, as those without a label; they do not count as bad.
        content: the beginning of the row's values, escaped.
    """

    row: int
    reason: str
    field: str = ""
    expected: bool = False
    content: str = ""


class UnusableRowError(Exception):
    """Raised by the readers of columns, caught by the conversion: the message becomes a refusal's reason."""

    def __init__(self, reason: str, field: str = "", *, expected: bool = False) -> None:
        super().__init__(reason)
        self.field = field
        self.expected = expected
