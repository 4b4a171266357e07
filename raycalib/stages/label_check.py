"""Whether the labels of a combo say enough, before anything is tuned on them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from raycalib.errors import DataError
from raycalib.printable import printable_line
from raycalib.records import Row
from raycalib.stages.output import StageOutput, finished
from raycalib.stages.progress import say
from raycalib.stages.tune_job import TuneJob
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


def check_before_tuning(
    labelled: Mapping[str, StageOutput], styles: Sequence[str], jobs: Sequence[TuneJob], is_forced: bool
) -> None:
    """Says what the labels of all combos are worth that are still to be tuned, or all where nothing is tuned.

    Args:
        labelled: by model.
        styles: prompt styles.
        jobs: what will be tuned; those that are finished are not looked at again.
        is_forced: one class alone is tuned on all the same.

    Raises:
        DataError: see ``say_and_stop``.
    """
    checks = list[LabelCheck]()
    to_tune = [(job.model.name, job.style) for job in jobs if not finished(job.place, job.key)]
    for model, output in labelled.items() if to_tune or not jobs else ():
        of_model = [style for style in styles if not jobs or (model, style) in to_tune]
        checks += check_labels(model, output, of_model) if of_model else []
    say_and_stop(checks, bool(jobs), is_forced)


def check_labels(model: str, labelled: StageOutput, styles: Sequence[str]) -> list[LabelCheck]:
    """The check of each style, from one pass over a model's labels."""
    tallies = {style: _Tally() for style in styles}
    for row in labelled.rows(COLUMNS):
        if row["style"] in tallies and row["split"] in SPLITS:
            tallies[row["style"]].add(row)
    return [tally.check(f"{model} {style}") for style, tally in tallies.items()]


def say_and_stop(checks: Iterable[LabelCheck], is_tuned: bool, is_forced: bool) -> None:
    """Says what the labels do not, and stops where an adapter would learn nothing from them.

    Args:
        checks: one per combo.
        is_tuned: something is tuned, or only fitted to what is stored.
        is_forced: one class alone is tuned on all the same.

    Raises:
        DataError: a combo's labels are of one class in ``train`` or ``val_select``, or there are none.
    """
    stopped = []
    for check in checks:
        if check.line:
            say(f"  {check.line}")
        if is_tuned and (check.is_empty or (check.says_nothing and not is_forced)):
            stopped.append(check.combo)
    if stopped:
        raise DataError(
            f"labels: nothing can be learned from those of {', '.join(stopped)}, as said above; check the grader "
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
        self.labels: dict[str, list[int | None]] = {split: [] for split in SPLITS}
        self.first: dict[str, list[Row]] = {split: [] for split in SPLITS}
        self.unscored: dict[str, list[Row]] = {split: [] for split in SPLITS}

    @property
    def n_rows(self) -> int:
        return sum(map(len, self.labels.values()))

    def add(self, row: Row) -> None:
        self.labels[row["split"]].append(row["query_label"])
        kept = self.unscored if row["query_label"] is None else self.first
        if len(kept[row["split"]]) < N_EXAMPLES:
            kept[row["split"]].append(row)

    def check(self, combo: str) -> LabelCheck:
        counts = {split: LabelCounts.of(labels) for split, labels in self.labels.items()}
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
