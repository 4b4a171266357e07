"""What a calibrated model says."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer with how likely it is to be right.

    Attributes:
        text: of the answer; with options, that of the chosen one.
        p_correct: probability that whoever graded the calibration answers would call this one right, in [0, 1]; None
            where that is not known, for the reason given.
        reason: why it is not; empty where it is.
        letter: of the chosen option; empty without options.
        method: that the confidence is by.
    """

    text: str
    p_correct: float | None
    reason: str = ""
    letter: str = ""
    method: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values, under the names that ``jobs/ask.py --json`` prints."""
        values = asdict(self)
        return {"answer": values.pop("text"), **values}
