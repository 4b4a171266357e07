"""Your own questions from a jsonl, csv or parquet file."""

from collections.abc import Sequence
import csv
from functools import cache
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from raycalib.errors import DataError
from raycalib.hashing import stable_hash, stable_uniform
from raycalib.prompts import Example, choice_context, open_ended_context
from raycalib.records import Row
from raycalib.sources.facts.splits import SPLITS

REQUIRED_COLUMNS = ("question", "answer")
OPTIONAL_COLUMNS = ("options", "task", "split")
DEFAULT_SPLITS = (("train", 0.5), ("val_select", 0.1), ("val_calibrate", 0.15), ("test", 0.25))
MAX_OPTIONS = 10


def check_file(path: Path) -> None:
    """Reads the file once.

    Raises:
        DataError: it does not exist, cannot be read, or lacks a column.
    """
    _read(path)


def file_questions(path: Path, style: str, split: str, seed: int, limit: int | None) -> list[Row]:
    """Question records of one style and split; rows without options have no ``choice`` questions.

    Columns: ``question`` and ``answer`` (needed), ``options`` (a list that holds the answer, for ``choice``), ``task``
    (figures are broken down by it), ``split``. Without a ``split`` column, rows are dealt by a hash of the question and
    the seed.
    """
    rows = [
        _question(record, style, split, path)
        for record in _read(path)
        if _split_of(record, seed) == split and (style == "oe" or record.get("options"))
    ]
    rows.sort(key=lambda row: stable_uniform("order", seed, row["row_id"]))
    return rows[:limit]


@cache
def _read(path: Path) -> tuple[dict[str, Any], ...]:
    if path.suffix not in READERS:
        raise DataError(f"source: {path} has the ending {path.suffix!r}; allowed: {', '.join(READERS)}")
    if not path.is_file():
        raise DataError(f"source: the file {path} does not exist; give the path after file:")
    try:
        records = READERS[path.suffix](path)
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise DataError(f"source: {path} cannot be read: {str(error).splitlines()[0]}") from error
    if not records:
        raise DataError(f"source: {path} has no rows")
    missing = [name for name in REQUIRED_COLUMNS if all(name not in record for record in records)]
    if missing:
        raise DataError(
            f"source: {path} lacks the column {missing[0]!r}; it has {', '.join(records[0])}; needed: "
            f"{', '.join(REQUIRED_COLUMNS)}; optional: {', '.join(OPTIONAL_COLUMNS)}"
        )
    seen: dict[tuple[str, ...], int] = {}
    for line, record in enumerate(records, start=1):
        _check(record, path, line)
        key = tuple(str(record.get(name) or "") for name in ("question", "answer", "options"))
        if key in seen:
            raise DataError(f"source: {path} rows {seen[key]} and {line} ask the same; keep one")
        seen[key] = line
    return tuple(records)


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Each line as JSON has it: no types are guessed."""
    lines = path.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("every line must be a JSON object")
    return records


def _read_csv(path: Path) -> list[dict[str, Any]]:
    """Every cell as the text that it is: 007 stays 007, NA stays NA."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return records


READERS = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}


def _check(record: dict[str, Any], path: Path, line: int) -> None:
    for name in REQUIRED_COLUMNS:
        if record.get(name) is None or not str(record[name]).strip():
            raise DataError(f"source: {path} row {line}: {name!r} is empty; fill it or take the row out")
    options = record.get("options")
    if options:
        if isinstance(options, str) or not isinstance(options, Sequence) or not 2 <= len(options) <= MAX_OPTIONS:
            raise DataError(f"source: {path} row {line}: 'options' must be a list of 2 to {MAX_OPTIONS} texts")
        if len({str(option) for option in options}) < len(options):
            raise DataError(f"source: {path} row {line}: an option is named twice")
        if str(record["answer"]) not in [str(option) for option in options]:
            raise DataError(f"source: {path} row {line}: the answer {record['answer']!r} is not among its options")
    split = record.get("split")
    if split is not None and split not in SPLITS:
        raise DataError(f"source: {path} row {line}: split {split!r} is unknown; allowed: {', '.join(SPLITS)}")


def _split_of(record: dict[str, Any], seed: int) -> str:
    if record.get("split"):
        return str(record["split"])
    draw = stable_uniform("split", seed, str(record["question"]))
    for name, share in DEFAULT_SPLITS:
        draw -= share
        if draw < 0:
            return name
    return DEFAULT_SPLITS[-1][0]


def _question(record: dict[str, Any], style: str, split: str, path: Path) -> Row:
    question, answer = str(record["question"]), str(record["answer"])
    options = [str(option) for option in record.get("options") or []] if style == "choice" else []
    if options:
        example = Example(context=choice_context(question, options), target="abcdefghij"[options.index(answer)])
    else:
        example = Example(context=open_ended_context(question), target=answer)
    return {
        "row_id": stable_hash("file", split, style, example.text(), example.target),
        "source": f"file:{path.name}",
        "split": split,
        "style": style,
        "task": str(record.get("task") or path.stem),
        "group": stable_hash(question),
        "fresh_entity": False,
        "prompt": example.prompt,
        "context": example.context,
        "target_prompt": example.target_prompt,
        "target": example.target,
        "options": options,
    }
