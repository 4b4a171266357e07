"""Labelled rows as tuning reads them, and what became of those that it leaves out."""

from transformers import PreTrainedTokenizerBase

from raycalib.errors import DataError
from raycalib.lm.window import TooLongError
from raycalib.prompts import Example
from raycalib.records import Row
from raycalib.sources.parts import AS_ANSWERED
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.storage import read_rows
from raycalib.tuning.batches import TuningRow, answer_row, tuning_row
from raycalib.tuning.hooks import TuningData
from raycalib.tuning.label_counts import LabelCounts
from raycalib.tuning.row_chunks import drawing_order

COLUMNS = ("row_id", "split", "style", "context", "target", "target_prompt", "answer", "query_label")


def tuning_data(job: TuneJob, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> tuple[TuningData, dict[str, int]]:
    """The labelled rows that are tuned and selected on, and what became of all of the job's style.

    ``in`` = ``train`` + ``val_select`` + ``other_split`` + ``unscored`` + ``too_long``, and ``beyond_train_rows`` where
    the settings want fewer; of the first two,
    ``cut_on_the_left`` lost the left of their text, few-shot examples first. A row of another split counts there,
    scored or not. The tuned stage's manifest has ``not_finite`` beside these: so many of ``train`` the base model has
    no finite numbers for.
    """
    make = tuning_row if job.settings.method == "lora_prompt" else answer_row
    by_split: dict[str, list[TuningRow]] = {"train": [], "val_select": []}
    counts = {"in": 0, "other_split": 0, "unscored": 0, "too_long": 0, "cut_on_the_left": 0}
    with_header = {split: job.query_header.value_for(split, "") == AS_ANSWERED for split in by_split}
    columns = (*COLUMNS, "prompt") if any(with_header.values()) else COLUMNS
    for row in read_rows(job.labelled, job.shards, columns):
        if row["style"] != job.style:
            continue
        counts["in"] += 1
        if row["split"] not in by_split:
            counts["other_split"] += 1
            continue
        if row["query_label"] is None:
            counts["unscored"] += 1
            continue
        try:
            tuned, n_cut = make(
                tokenizer,
                row["row_id"],
                _example(row),
                row["answer"],
                row["query_label"],
                max_tokens,
                with_header=with_header[row["split"]],
            )
        except TooLongError:
            counts["too_long"] += 1
            continue
        by_split[row["split"]].append(tuned)
        counts["cut_on_the_left"] += n_cut > 0
    if 0 < job.settings.train_rows < len(by_split["train"]):
        counts["beyond_train_rows"] = len(by_split["train"]) - job.settings.train_rows
        by_split["train"] = _some(by_split["train"], job.settings.train_rows)
    counts |= {split: len(rows) for split, rows in by_split.items()}
    return TuningData(train=by_split["train"], val=by_split["val_select"]), counts


def _some(rows: list[TuningRow], n: int) -> list[TuningRow]:
    """So many of the rows, in their order: the same whatever else is there, and those of fewer among those of more."""
    drawn = set(drawing_order([row.row_id for row in rows])[:n])
    return [row for place, row in enumerate(rows) if place in drawn]


def check_classes(data: TuningData, counts: dict[str, int], job: TuneJob) -> None:
    """Checks once more that there are right and wrong answers, among the rows that are short enough to be read.

    Raises:
        DataError: those of one split are of one class, and the settings do not say to tune on that all the same.
    """
    if job.settings.force_one_class:
        return
    splits = {"training labels": data.train, "labels of val_select": data.val}
    faults = [LabelCounts.of(row.label for row in rows).nothing_said(name) for name, rows in splits.items()]
    if said := "; ".join(fault for fault in faults if fault):
        if n := counts.get("beyond_train_rows"):
            raise DataError(
                f"tuning: {said}, once {n:,} rows beyond tuning.train_rows ({job.settings.train_rows:,}) are left out; "
                "raise it, or tune on one class all the same by --tuning.force-one-class"
            )
        raise DataError(
            f"tuning: {said}, once {counts['too_long']:,} rows are left out whose answers are longer than the model "
            "reads; raise --tuning.max-tokens, or tune on one class all the same by --tuning.force-one-class"
        )


def count_lines(counts: dict[str, int]) -> list[str]:
    """What to say of rows that are not tuned on as they are; nothing where there are none."""
    remarks = {
        "unscored": "rows are left out, their answers have no verdict",
        "too_long": "rows are left out, their answers are longer than the model reads",
        "cut_on_the_left": "rows were longer than the model can read and lost the left of their text",
    }
    return [f"{counts[name]:,} {remark}" for name, remark in remarks.items() if counts[name]]


def _example(row: Row) -> Example:
    return Example(
        context=row["context"],
        target=row["target"],
        target_prompt=row["target_prompt"],
        prompt=row.get("prompt") or "",
    )
