"""Right answers that no generated answer can equal, found before anything is generated."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
import json
import re

from raycalib.records import Row
from raycalib.sources.own.listed import fields_of, listed

LINES = "have several lines, where an answer is the first line that a model writes"
LONG = "are longer than max_new_tokens"
LISTS = "look like a list or a struct, written out"
MARKUP = "look like markup (HTML, LaTeX or Markdown)"
NEVER_MET = (LINES, LONG)
NEARLY_ALL, SINGLE, A_PART = 0.95, 0.01, 0.5
SHOWN_CHARACTERS = 60

TAGS = re.compile(r"</?[a-z][^<>]*>|\\[A-Za-z]+\s*\{|\\[(\[]|```|\*\*[^*]+\*\*|\[[^\]]+\]\([^)\s]+\)", re.IGNORECASE)

WAYS_OUT = {
    LINES: "name another answer column, or have a judge read them (--grader judge)",
    LONG: "raise --max-new-tokens, name another answer column, or have a judge read them (--grader judge)",
    LISTS: "one text each, or a list of texts of which any is right, is compared",
    MARKUP: "strings are compared with it as it stands",
}


@dataclass
class UnmetTargets:
    """Counts, by source, open-ended questions of which every right answer has a fault that strings stumble on.

    Attributes:
        n: open-ended questions.
        found: of those, by what is wrong.
        examples: the first right answer of each.
    """

    n: Counter[str] = field(default_factory=Counter)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Takes a question record."""
        if row["style"] == "choice":
            return
        self.n[row["source"]] += 1
        causes = [cause_of(text) for text in right_texts(row)]
        if causes and causes[0] is not None and None not in causes:
            self.note(row, causes[0])

    def note(self, row: Row, cause: str) -> None:
        """Counts a question with a fault."""
        key = row["source"], cause
        self.found[key] += 1
        self.examples.setdefault(key, row["target"])

    def lines(self) -> list[str]:
        """One line for each source and fault; single right answers that are long are no fault of their source."""
        return [self._line(*key) for key in sorted(self.found) if not self._is_single(*key)]

    def _is_single(self, source: str, cause: str) -> bool:
        return cause == LONG and self.found[source, cause] < SINGLE * self.n[source]

    def fatal(self) -> list[str]:
        """Those of the lines after which nearly no answer could be right; none where other sources are more than half.

        A mixture of many sources is worth its run without one of them.
        """
        never = Counter[str]()
        for (source, cause), count in self.found.items():
            never[source] += count if cause in NEVER_MET else 0
        bad = {source for source, count in never.items() if count >= NEARLY_ALL * self.n[source] and count}
        if sum(self.n[source] for source in bad) < A_PART * self.n.total():
            return []
        return [self._line(*key) for key in sorted(self.found) if key[0] in bad and key[1] in NEVER_MET]

    def _line(self, source: str, cause: str) -> str:
        example = self.examples[source, cause]
        shown = example if len(example) <= SHOWN_CHARACTERS else f"{example[:SHOWN_CHARACTERS]}…"
        return (
            f"{source}: {self.found[source, cause]:,} of {self.n[source]:,} right answers {cause}, such as {shown!r}; "
            f"{WAYS_OUT[cause]}"
        )


def right_texts(row: Row) -> list[str]:
    """All right answers of a question."""
    return [row["target"], *(row.get("aliases") or ())]


def cause_of(text: str) -> str | None:
    r"""What strings stumble on in a right answer; None where there is nothing.

    >>> cause_of("2 + 2\n4") == LINES, cause_of("[1, 2]") == LISTS, cause_of("\\frac{1}{2}") == MARKUP
    (True, True, True)
    >>> cause_of("[0, 1)"), cause_of("a < b"), cause_of("Paris\n")
    (None, None, None)
    """
    text = text.strip()
    if "\n" in text:
        return LINES
    if is_list(text):
        return LISTS
    return MARKUP if TAGS.search(text) else None


def is_list(text: str) -> bool:
    """Whether a text is a list or a struct, as JSON or as Python or numpy print it."""
    if text[:1] not in ("[", "{"):
        return False
    try:
        return isinstance(json.loads(text), list | dict)
    except (ValueError, RecursionError):
        return listed(text) is not None or fields_of(text) is not None


def unmet_targets(rows: Iterable[Row]) -> UnmetTargets:
    """What is wrong with the right answers of some questions."""
    found = UnmetTargets()
    for row in rows:
        found.add(row)
    return found
