"""Answers to be labelled from where they lie: a finished stage, a directory of parquet files, or a single file."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from raycalib.errors import DataError
from raycalib.hashing import stable_hash, text_hash
from raycalib.records import ANSWER, PROMPT_STYLES, QUESTION_VERSION, Row
from raycalib.sources.files.raw_row import RawRow
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.own.given_answers import GivenAnswers
from raycalib.sources.reading import READERS, Table, local_table
from raycalib.stages.given.answer_dirs import open_stage
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.output import StageOutput, finished, stage_key, stage_place, text_slug
from raycalib.storage import Location, Manifest, read_manifest, write_manifest, write_shard

QUESTION_COLUMNS = ("question", "context")
LABEL_COLUMN = "label"
RIGHT_ANSWERS_VERSION = 2
"""Goes up where a file's right answers or answers are read otherwise; part of what the rows are known by."""

LABELS: dict[Any, int] = {0: 0, 1: 1, "0": 0, "1": 1, "no": 0, "yes": 1, "false": 0, "true": 1}


def open_answers(given: str, out: Location, rows_per_shard: int) -> StageOutput:
    """Answer records in shards.

    A stage's directory is taken as it is. Of anything else the rows are written as shards into the run's directory,
    each under an id of its own; a row that lacks a value stays, with ``error`` set.

    Args:
        given: a stage's directory (any URI), a local directory of parquet files, or a local parquet, jsonl or csv file
            with the columns ``question``, ``target`` and ``answer``, and perhaps ``style``.
        out: the run's directory.
        rows_per_shard: at most so many.

    Raises:
        DataError: it is none of these, is not finished, has no rows, or lacks a column that labels need.
        StorageError: it cannot be read.
    """
    place = Location(given).absolute()
    if stage := open_stage(place, given):
        return stage
    if not place.is_local:
        raise DataError(f"answers: {given} has no manifest.json; name the directory of a finished stage")
    files = _files(place.local_path, given)
    tables = [local_table(path) for path in files]
    identity = {
        "files": [table.fingerprint() for table in tables],
        "records": QUESTION_VERSION,
        "row_ids": "unique",
        "right_answers": RIGHT_ANSWERS_VERSION,
        "rows_per_shard": rows_per_shard,
    }
    key = stage_key("answers", identity, [])
    target = stage_place(out, "answers", text_slug(place.local_path.stem), key)
    if done := finished(target, key):
        return done
    say_why_again(target, f"answers {given}", identity)
    reader = GivenAnswers(raw for table in tables for raw in table.rows(None))
    for table in tables:
        _check_columns(table)
    rows = unique_ids(_answer(raw, table.place, reader) for table in tables for raw in table.rows(None))
    shards, n_rows, n_errors = list[str](), 0, 0
    while of_shard := list(islice(rows, rows_per_shard)):
        shards.append(write_shard(target, len(shards), of_shard, ANSWER))
        n_rows += len(of_shard)
        n_errors += sum(1 for row in of_shard if row["error"])
    if not n_rows:
        raise DataError(f"answers: {given} has no rows")
    counts = {"in": n_rows, "out": n_rows, "errors": n_errors}
    write_manifest(target, Manifest(stage="answers", key=key, config=identity, shards=tuple(shards), counts=counts))
    written = read_manifest(target)
    assert written is not None, "it was just written"
    return StageOutput(place=target, manifest=written, was_done=False)


def _files(path: Path, given: str) -> list[Path]:
    if path.is_dir():
        files = sorted(path.glob("*.parquet"))
        if not files:
            raise DataError(f"answers: {given} has neither a manifest.json nor parquet files")
        return files
    if path.suffix not in READERS or not path.is_file():
        raise DataError(f"answers: {given} is neither a directory nor a file ending in {', '.join(READERS)}")
    return [path]


def person_labels(given: str) -> list[int]:
    """The column ``label`` of a file, in order: a person's verdicts.

    Raises:
        DataError: a row has no label, or one that is neither 0 nor 1.
    """
    labels = []
    for raw in local_table(Path(given)).rows(None):
        value = raw.values.get(LABEL_COLUMN)
        label = LABELS.get(value.lower() if isinstance(value, str) else value) if _hashable(value) else None
        if label is None:
            raise DataError(f"{given}: row {raw.number} has the label {value!r}; allowed: 1 (right) and 0 (wrong)")
        labels.append(label)
    return labels


def _hashable(value: Any) -> bool:
    return isinstance(value, str | int | float)


def unique_ids(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, each under an id of its own: the second of two with one id, such as two models' answers to one
    question, gets another, by its number of occurrence.

    >>> [row["row_id"] for row in unique_ids([{"row_id": "a"}, {"row_id": "b"}, {"row_id": "a"}])]
    ['a', 'b', '05a9c569a185ac60']
    """
    seen, repeats = set[str](), Counter[str]()
    for row in rows:
        row_id = row["row_id"]
        while row_id in seen:
            repeats[row["row_id"]] += 1
            row_id = text_hash(row["row_id"], str(repeats[row["row_id"]]))
        seen.add(row_id)
        yield row | {"row_id": row_id}


def _check_columns(table: Table) -> None:
    """Raises DataError where a column that labels need is in none of the rows."""
    columns = dict.fromkeys(name for raw in table.rows(None) for name in raw.values)
    needed = {"question": QUESTION_COLUMNS, "target": ("target",), "answer": ("answer",)}
    missing = [f"{name!r}" for name, spellings in needed.items() if not any(column in columns for column in spellings)]
    if missing and columns:
        raise DataError(
            f"answers: {table.place} has no column {' and no '.join(missing)}; it has {', '.join(columns)}; name the "
            "columns question, target (the right answer) and answer (what was given)"
        )


def _answer(raw: RawRow, place: str, reader: GivenAnswers) -> Row:
    values = raw.values
    known = {field.name: values[field.name] for field in ANSWER if values.get(field.name) is not None}
    if set(known) >= {field.name for field in ANSWER if not field.nullable}:
        return {field.name: values.get(field.name) for field in ANSWER}  # an answer record as raycalib writes it
    found = next((values[name] for name in QUESTION_COLUMNS if values.get(name) is not None), None)
    question = str(found) if isinstance(found, str | int | float) else None
    right, answer, unreadable = None, None, ""
    try:
        right, answer = reader.right(values, question or ""), reader.answer(values)
    except UnusableRowError as error:
        unreadable = str(error)
    texts = {"question": question, "target": right.target if right else None, "answer": answer}
    style = values.get("style") or "oe"
    texts_ok = {name: text or "" for name, text in texts.items()}
    return {
        "row_id": text_hash(place, str(raw.number), *texts_ok.values()),
        "source": place,
        "split": str(values.get("split") or "test"),
        "style": style if style in PROMPT_STYLES else "oe",
        "task": str(values.get("task") or "all"),
        "group": stable_hash(place, raw.number),
        "fresh_entity": False,
        "prompt": "",
        "context": texts_ok["question"],
        "target_prompt": str(values.get("target_prompt") or ""),
        "target": texts_ok["target"],
        "options": [],
        "aliases": list(right.aliases) if right and right.aliases else None,
        "solution": (right.solution or None) if right else None,
        "model": str(values.get("model") or "unknown"),
        "output": str(values.get("output") or texts_ok["answer"]),
        "answer": texts_ok["answer"],
        "n_answer_tokens": 0,
        "log_likelihood": None,
        "option_log_likelihoods": [],
        "finish_reason": "stop",
        "n_cut": 0,
        "error": _fault(raw, texts, style, unreadable),
    }


def _fault(raw: RawRow, texts: dict[str, str | None], style: Any, unreadable: str) -> str | None:
    missing = [name for name, text in texts.items() if text is None]
    if raw.fault:
        return f"row {raw.number} {raw.fault}"
    if unreadable:
        return f"row {raw.number}: {unreadable.partition('; ')[0]}; give a text or a number, or a list of them"
    if missing:
        return f"row {raw.number} has no {' and no '.join(missing)}"
    return None if style in PROMPT_STYLES else f"row {raw.number} has the style {style!r}; allowed: oe, choice"
