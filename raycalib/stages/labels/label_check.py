"""Whether the labels of a combo say enough, before anything is tuned on them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from raycalib.printable import printable_line
from raycalib.records import Row
from raycalib.stages.combo import Combo
from raycalib.stages.lines.progress import say
from raycalib.stages.output import StageOutput
from raycalib.tuning.label_counts import LEAST_PER_CLASS, LEAST_TO_FIT, LabelCounts

SPLITS = {"train": "training labels", "val_select": "labels of val_select", "val_calibrate": "labels of val_calibrate"}
"""The splits that something is learned from, and what their labels are called."""

TUNED_ON = ("train", "val_select")
COLUMNS = ("split", "style", "context", "target", "answer", "query_label", "unscored_reason")
N_EXAMPLES = 3
SHOWN_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True)
class LabelCheck:
    """The labels of one model and style.

    Attributes:
        combo: its name.
        counts: by split.
        examples: rows, as text, of the first split that has one class alone or no label.
    """

    combo: str
    counts: Mapping[str, LabelCounts]
    examples: Sequence[str] = ()

    @property
    def line(self) -> str:
        """What a user must know before tuning; empty where the labels say enough."""
        nothing = [fault for split, name in SPLITS.items() if (fault := self.counts[split].nothing_said(name))]
        little = [fault for split, name in SPLITS.items() if (fault := self.counts[split].little_said(name))]
        n = self.counts["val_calibrate"].n
        if 0 < n < LEAST_TO_FIT:
            little.append(f"{n} labels of val_calibrate are fewer than {LEAST_TO_FIT}, so no temperature is fitted")
        if nothing:
            nothing[-1] += ": check the grader"
            nothing += [f"{_number(len(self.examples))} of them: {'; '.join(self.examples)}"] if self.examples else []
        return printable_line(f"{self.combo}: {'; '.join([*nothing, *little])}") if nothing or little else ""

    @property
    def says_nothing(self) -> bool:
        """Whether an adapter could learn, or be selected by, one class alone."""
        return any(self.counts[split].nothing_said("labels") for split in TUNED_ON)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing at all to tune on or to select by."""
        return not all(self.counts[split].n for split in TUNED_ON)


def combo_check(combo: Combo, labelled: StageOutput) -> LabelCheck:
    """What the labels of a combo's training set are worth, said where that is little."""
    tally = _Tally()
    for row in labelled.rows(COLUMNS):
        if row["split"] in SPLITS:
            tally.add(row)
    check = tally.check(str(combo))
    if check.line:
        say(f"  {check.line}")
    return check


def why_not_tuned(check: LabelCheck, is_forced: bool) -> str:
    """Why an adapter would learn nothing from a combo's labels, and what to do; empty where it may learn something.

    Args:
        check: of the labels.
        is_forced: one class alone is tuned on all the same.
    """
    if not check.is_empty and (is_forced or not check.says_nothing):
        return ""
    return (
        f"nothing can be learned from the labels of {check.combo}: {check.line.partition(': ')[2]}; check the grader "
        "(--grader) and the right answers, leave the tuned methods out (--methods zero_shot_query "
        "answer_likelihood), or tune on one class all the same by --tuning.force-one-class"
    )


def one_class_line(rows: Iterable[Row]) -> str:
    """What to say where all labels of a file are one and the same, of at least 10; else empty."""
    tally = _Tally()
    for row in rows:
        tally.add(row | {"split": "train"})
    check = tally.check("")
    fault = check.counts["train"].nothing_said("labels")
    if not fault or tally.n_rows < LEAST_PER_CLASS:
        return ""
    shown = f"{_number(len(check.examples))} of them: {'; '.join(check.examples)}"
    return printable_line(f"{fault}: check the grader; {shown}")


class _Tally:
    """Labels by split, and the first rows of each to show."""

    def __init__(self) -> None:
        self.labels: dict[str, Counter[int | None]] = {split: Counter() for split in SPLITS}
        self.first: dict[str, list[Row]] = {split: [] for split in SPLITS}
        self.unscored: dict[str, list[Row]] = {split: [] for split in SPLITS}

    @property
    def n_rows(self) -> int:
        return sum(labels.total() for labels in self.labels.values())

    def add(self, row: Row) -> None:
        self.labels[row["split"]][row["query_label"]] += 1
        kept = self.unscored if row["query_label"] is None else self.first
        if len(kept[row["split"]]) < N_EXAMPLES:
            kept[row["split"]].append(row)

    def check(self, combo: str) -> LabelCheck:
        counts = {split: LabelCounts(labels[1], labels[0]) for split, labels in self.labels.items()}
        said = next((split for split in SPLITS if counts[split].nothing_said("")), None)
        shown = (self.first[said] or self.unscored[said]) if said else []
        return LabelCheck(combo=combo, counts=counts, examples=[_shown(row) for row in shown])


def _shown(row: Row) -> str:
    parts = {"question": row["context"], "right answer": row["target"], "answer": row["answer"]}
    if row["query_label"] is None:
        parts["unscored"] = row["unscored_reason"] or ""
    return ", ".join(f'{name} "{_short(text)}"' for name, text in parts.items())


def _short(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= SHOWN_CHARACTERS else f"{joined[: SHOWN_CHARACTERS - 1]}…"


def _number(n: int) -> str:
    return ("none", "one", "two", "three")[n]
