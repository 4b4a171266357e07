"""The first replies of a judge: if none of them is a verdict, no more are paid for."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
import re

TRIAL_REPLIES = 20
"""So many without one verdict are not about the rows: nothing that is asked like this has a verdict."""

MOST_SHOWN = 60
BEGINNINGS = 3
REFUSAL = re.compile(r"(i'?m |i am )?(sorry|unable|not able)|i (can'?t|cannot|won'?t|must decline)|as an ai\b")


class DudKind(Enum):
    """Why a row has no verdict."""

    REFUSED = "refused"
    THINKING = "thinking"
    CUT = "cut"
    EMPTY = "empty"
    DECLINED = "declined"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Dud:
    """A row without a verdict.

    Attributes:
        kind: why.
        text: how the reply begins, or the cause.
    """

    kind: DudKind
    text: str


def dud_of(text: str, finish_reason: str) -> Dud:
    """What a reply that is no verdict is."""
    shown = text.strip()[:MOST_SHOWN]
    if re.match(r"\s*(<think|<thought|<reasoning|\[think\]|<\|channel\|>analysis)", text, re.IGNORECASE):
        return Dud(kind=DudKind.THINKING, text=shown)
    if not shown:
        return Dud(kind=DudKind.EMPTY, text="")
    if REFUSAL.match(shown.casefold().replace("’", "'")):
        return Dud(kind=DudKind.DECLINED, text=shown)
    return Dud(kind=DudKind.CUT if finish_reason == "length" else DudKind.OTHER, text=shown)


LONGER = "raise --judge.max-output-tokens (8 unless set"
REMEDIES = {
    DudKind.THINKING: f"{LONGER}; a model that thinks first needs some 2,000), or turn thinking off at its server",
    DudKind.CUT: f"they were cut off: {LONGER}), or use --judge-prompt strict, which asks for one word",
    DudKind.EMPTY: f"they are empty: {LONGER}), or check the model's chat template at its server",
    DudKind.DECLINED: "the model declines to judge; name another by --judge-model, or use --judge-prompt strict",
    DudKind.OTHER: (
        "a verdict is yes or no in one word; use --judge-prompt strict, or a model that keeps to it by --judge-model, "
        f"or {LONGER}) where it explains itself first"
    ),
}


class Trial:
    """Until the first verdict, at most ``TRIAL_REPLIES`` rows of the whole run are asked or were asked in vain."""

    def __init__(self) -> None:
        self.is_over = False
        self._duds: list[Dud] = []

    def has_room(self, n_open: int) -> bool:
        """Whether another row may be asked while so many are underway."""
        return self.is_over or n_open + len(self._duds) < TRIAL_REPLIES

    def count(self, duds: tuple[Dud, ...], verdict: bool) -> str:
        """Takes in what came; returns why nothing more should be asked, empty where that is not so."""
        self.is_over = self.is_over or verdict
        if self.is_over:
            return ""
        self._duds += duds
        return self._reason() if len(self._duds) >= TRIAL_REPLIES else ""

    def _reason(self) -> str:
        kinds = Counter(dud.kind for dud in self._duds)
        kind, n_of_kind = kinds.most_common(1)[0]
        of_kind = list(dict.fromkeys(dud.text for dud in self._duds if dud.kind is kind))
        if kind is DudKind.REFUSED:
            return f"the judge's server refused the first {n_of_kind} rows: {of_kind[0]}"
        begins = ", ".join(repr(text) for text in of_kind[:BEGINNINGS])
        begin = f"; {'most' if n_of_kind < len(self._duds) else 'they'} begin {begins}" if any(of_kind) else ""
        return f"the judge gave {len(self._duds)} replies and not one verdict{begin}: {REMEDIES[kind]}"
