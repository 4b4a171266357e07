"""From the raw rows of a table to answer records and labelled records."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from raycalib.hashing import text_hash
from raycalib.prompts import TARGET_PROMPT, sanitize
from raycalib.records import ANSWER, LABELLED, PROMPT_STYLES, Row
from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.given.cells import label_of, needed_text, options_of, right_of, text_of
from raycalib.sources.given.records import as_record, has_labels, is_record
from raycalib.sources.given.splits import SPLIT_NAMES, Dealing, meant
from raycalib.sources.hub.columns import shown
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.hub.shown import sample
from raycalib.sources.own.columns import OwnColumns

UNLABELLED_REASON = "no label is given"
GIVEN_LABEL: dict[str, Any] = {
    "grader": "given", "judge": None, "judge_prompt": None, "judged_on": None, "verdict": None, "retryable": False,
}  # fmt: skip
"""Of a row whose label came from outside."""

NOTHING_KNOWN: dict[str, Any] = {
    "fresh_entity": False, "n_answer_tokens": 0, "log_likelihood": None, "option_log_likelihoods": [],
    "finish_reason": "stop", "min_margin": None, "n_cut": 0, "error": None,
}  # fmt: skip
"""Of an answer that raycalib did not generate."""


class RefusedGiven(NamedTuple):
    """A given row that cannot be used, with the reason.

    Attributes:
        place: the file, or the hub's dataset and split.
        row: its number there, from 1.
        split: the run's split as far as it is known, else empty.
        style: the prompt style as far as it is known, else empty.
        field: the column; empty where it is the row as a whole.
        reason: one line.
        expected: such rows are known in what the paper's code writes; it does not count as bad.
        content: the beginning of the row's values, escaped.
    """

    place: str
    row: int
    split: str
    style: str
    field: str
    reason: str
    expected: bool
    content: str

    def record(self) -> Row:
        """As a line of ``refused.jsonl``."""
        return self._asdict()

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How rows are read.

    Attributes:
        kind: ``answers`` or ``labelled``.
        label: the source of rows that do not say theirs.
        task: of rows that name neither a task nor a source.
        model: whose answers these are.
        style: of rows that do not say theirs.
        dealing: of rows whose split is not wholly said.
        empty_targets: are known to occur: the paper's code loses the texts None, nan and NA where it reads its own csv.
    """

    kind: str
    label: str
    task: str
    model: str
    style: str | None
    dealing: Dealing
    empty_targets: bool


class Ids:
    """Gives each row an id of its own: the second of two equal ones another, by its number of occurrence."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._repeats: Counter[str] = Counter()

    def unique(self, row_id: str) -> str:
        """The id, or another where it is taken."""
        found = row_id
        while found in self._seen:
            self._repeats[row_id] += 1
            found = text_hash(row_id, str(self._repeats[row_id]))
        self._seen.add(found)
        return found


class RowReader:
    """Reads the rows of one table."""

    def __init__(self, reading: Reading, place: str, split: str, columns: OwnColumns, ids: Ids) -> None:
        """Takes what does not change from row to row.

        Args:
            reading: of all tables.
            place: of this one.
            split: what the place calls the split; empty where the rows say.
            columns: how cells become texts.
            ids: of all tables.
        """
        self._reading, self._place, self._columns, self._ids = reading, place, columns, ids
        self._split = meant(split) or ""

    def read(self, raw: RawRow) -> Row | RefusedGiven:
        """The record, or why there is none."""
        if raw.fault:
            return self._refused(raw, UnusableRowError(raw.fault))
        try:
            row = self._record(raw.values) if is_record(raw.values) else self._row(raw.values)
        except UnusableRowError as error:
            return self._refused(raw, error)
        return row | {"row_id": self._ids.unique(row["row_id"])}

    def _refused(self, raw: RawRow, error: UnusableRowError) -> RefusedGiven:
        reading, values = self._reading, raw.values
        style = values.get("style") or reading.style
        context = values.get("context")
        split = ""
        with suppress(UnusableRowError):
            split = reading.dealing.split_of(self._named(values), context if isinstance(context, str) else "")
        return RefusedGiven(
            place=self._place,
            row=raw.number,
            split=split,
            style=style if isinstance(style, str) and style in PROMPT_STYLES else "",
            field=error.field,
            reason=str(error),
            expected=error.expected,
            content=sample(values) if values else "",
        )

    def _record(self, values: Mapping[str, Any]) -> Row:
        if self._reading.kind == "answers":
            return as_record(values, ANSWER)
        if has_labels(values):
            return as_record(values, LABELLED)
        return self._labelled(as_record(values, ANSWER), values)

    def _row(self, values: Mapping[str, Any]) -> Row:
        reading, columns = self._reading, self._columns
        context = needed_text(values, "context", columns)
        output, answer = self._answer(values)
        style = self._style(values)
        try:
            right = right_of(values, columns)
        except UnusableRowError as error:
            error.expected = reading.empty_targets and error.field == "target"
            raise
        target_prompt = text_of(values, "target_prompt", columns)
        said = text_of(values, "source", columns) or text_of(values, "source_dataset", columns)
        prompt = text_of(values, "prompt", columns) or ""
        texts = {
            "style": style,
            "prompt": prompt,
            "context": context,
            "target_prompt": TARGET_PROMPT if target_prompt is None else target_prompt,
            "target": right.target,
        }
        row = {
            "row_id": (text_of(values, "row_id", columns) or "").strip() or text_hash("given", *texts.values(), output),
            "source": said or reading.label,
            "split": reading.dealing.split_of(self._named(values), context),
            "task": text_of(values, "task", columns) or said or reading.task,
            "group": text_hash(context),
            **texts,
            "options": options_of(values) if style == "choice" else [],
            "aliases": list(right.aliases) if right.aliases and style == "oe" else None,
            "solution": None,
            "model": reading.model,
            "output": output,
            "answer": answer,
            **NOTHING_KNOWN,
        }
        return row if reading.kind == "answers" else self._labelled(row, values)

    def _answer(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """The output as it was generated, and the answer: of an output its first line, else as it is given."""
        output = text_of(values, "output", self._columns)
        if output is not None:
            return output, sanitize(output)
        answer = text_of(values, "answer", self._columns)
        if answer is None:
            column = "output" if "output" in values else "answer"
            raise UnusableRowError(f"{column!r} is empty", column)
        return answer, answer.strip()

    def _style(self, values: Mapping[str, Any]) -> str:
        found = (text_of(values, "style", self._columns) or "").strip() or self._reading.style
        if found not in PROMPT_STYLES:
            allowed = ", ".join(PROMPT_STYLES)
            raise UnusableRowError(f"'style' is {shown(found)}; allowed: {allowed}", "style")
        return found

    def _named(self, values: Mapping[str, Any]) -> str:
        """What is said of the row's split; a place that names it has the last word."""
        if self._split:
            return self._split
        text = text_of(values, "split", self._columns) or ""
        found = meant(text)
        if found is None:
            raise UnusableRowError(f"'split' is {shown(text)}; allowed: {', '.join(SPLIT_NAMES)}", "split")
        return found

    @staticmethod
    def _labelled(row: Row, values: Mapping[str, Any]) -> Row:
        label = label_of(values.get("query_label"))
        reason = None if label is not None else f"no answer: {row['error']}" if row["error"] else UNLABELLED_REASON
        return row | {"query_label": label, "unscored_reason": reason} | GIVEN_LABEL
