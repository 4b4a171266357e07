"""One thing that was looked at: whether it is well, what was found, and what to do where it is not."""

from collections.abc import Sequence
from dataclasses import dataclass

from raycalib.printable import printable_line
from raycalib.secrets import hide_message

NAME_WIDTH = 12


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at.

    Attributes:
        name: a word or two.
        found: what was found; of a fault, what is wrong.
        remedy: of a fault; empty where all is well, or where what is wrong says it.
        is_well: whether there is nothing to do.
    """

    name: str
    found: str
    remedy: str = ""
    is_well: bool = True

    @classmethod
    def fault(cls, name: str, found: str, remedy: str) -> "Check":
        """What is wrong, and what to do."""
        return cls(name=name, found=found, remedy=remedy, is_well=False)

    @classmethod
    def of_error(cls, name: str, error: Exception) -> "Check":
        """Of an error of ours, which says in one line what is wrong and what to do."""
        return cls(name=name, found=" ".join(str(error).split()), is_well=False)

    def line(self) -> str:
        """For the terminal.

        >>> Check(name="clocks", found="within 0.1 s").line()
        '  ok    clocks      within 0.1 s'
        >>> Check.fault("clocks", "10.0.0.7 is 40 s ahead", "start chrony on it").line()
        '  FAIL  clocks      10.0.0.7 is 40 s ahead: start chrony on it'
        """
        mark = "ok  " if self.is_well else "FAIL"
        text = f"{self.found}: {self.remedy}" if self.remedy else self.found
        return f"  {mark}  {self.name:<{NAME_WIDTH}}{printable_line(hide_message(text))}"


def by_node(faults: Sequence[tuple[str, str]]) -> str:
    """Faults of nodes in one line, nodes of one fault together.

    >>> by_node([("a", "has no GPU"), ("b", "is late"), ("c", "has no GPU")])
    'a, c: has no GPU; b: is late'
    """
    texts = dict.fromkeys(text for _, text in faults)
    return "; ".join(f"{', '.join(node for node, each in faults if each == text)}: {text}" for text in texts)
