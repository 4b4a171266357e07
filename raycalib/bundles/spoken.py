"""What a calibrated model says, as lines for a person."""

from raycalib.bundles.answer import Answer
from raycalib.bundles.thresholds import CalibrationRows, kept, shown_share
from raycalib.printable import printable_line


def spoken(answer: Answer, rows: CalibrationRows | None, threshold: float | None) -> list[str]:
    """The answer, how likely it is to be right, and what that means; withheld where it is less than is asked for.

    Args:
        answer: of the model.
        rows: calibration rows of its method, where it is calibrated.
        threshold: the least confidence that is asked for; None asks for none.
    """
    text = printable_line(f"({answer.letter}) {answer.text}" if answer.letter else answer.text or "(an empty answer)")
    is_kept = kept(answer.p_correct, threshold)
    lines = [text] if is_kept else ["no answer: it is less likely to be right than is asked for"]
    if answer.p_correct is None:
        lines = [text] if threshold is None else ["no answer"]
        return [*lines, f"  how likely it is to be right is not known: {printable_line(answer.reason)}"]
    meaning = ""
    if rows is not None and len(rows.labels):
        n, n_right = rows.like(answer.p_correct)
        meaning = f": of answers like this, {shown_share(n_right, n)} were right ({n_right} of {n})"
    asked = "" if is_kept or threshold is None else f", asked for are {_percent(threshold)}"
    return [*lines, f"  {_percent(answer.p_correct)} likely to be right{asked}{meaning}"]


def _percent(share: float) -> str:
    """Whole per cent, but never the certainty of 0 or 100."""
    return "less than 1 %" if share < 0.01 else "more than 99 %" if share > 0.99 else f"{share * 100:.0f} %"
