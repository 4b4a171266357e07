"""The options of a row of your own, and the keys that the row has for them."""

from collections.abc import Mapping, Sequence
import json
from string import ascii_lowercase
from typing import Any, NamedTuple

from raycalib.sources.files.raw_row import CsvCell
from raycalib.sources.hub.columns import checked_text
from raycalib.sources.hub.conversion import MAX_OPTIONS, repeated_or_empty
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.own.columns import OwnColumns
from raycalib.sources.own.listed import fields_of, listed
from raycalib.sources.own.values import as_text, value_of, way_around

TEXT, LABEL = "text", "label"


class Options(NamedTuple):
    """The options of one row.

    Attributes:
        texts: in the order shown; empty where the row has none.
        keys: what the row calls them, one each; empty where it has no names for them, or none that tell them apart.
        values: as the file has them.
        bad_keys: it has names for them, but not a different one for each.
    """

    texts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    values: Sequence[Any] = ()
    bad_keys: bool = False

    def at_key(self, key: str) -> int | None:
        """The place of the option with a key, capital letters aside; None where there is none."""
        if key in self.keys:
            return self.keys.index(key)
        lower = [known.lower() for known in self.keys]
        return lower.index(key.lower()) if lower.count(key.lower()) == 1 else None


NO_OPTIONS = Options()


def read_options(row: Mapping[str, Any], columns: OwnColumns) -> Options:
    """The options of a row: a list, a list with labels beside it, texts by key, or a column each.

    Raises:
        UnusableRowError: they are none of these, one is empty, or two are equal.
    """
    column = columns.choices
    if column is None:
        return _lettered(row, columns) if columns.lettered else NO_OPTIONS
    value = value_of(row, column)
    if value is None or value == "":
        return NO_OPTIONS
    if isinstance(value, str):
        value = _unwritten(value)
    labels: Any = None
    if isinstance(value, list) and value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        value = dict(value)  # a map of a parquet
    if isinstance(value, Mapping):
        value, labels = _of_mapping(value)
    elif isinstance(value, list) and value and all(isinstance(option, Mapping) for option in value):
        value, labels = _of_structs(value, column)
    elif "." in column and column not in row:
        labels = _beside(row, column)
    if isinstance(value, list) and not value:
        return NO_OPTIONS
    if not isinstance(value, list) or not 2 <= len(value) <= MAX_OPTIONS:
        reason = f"{column!r} must be a list of 2 to {MAX_OPTIONS} texts, or texts by key (in a csv, as JSON)"
        raise UnusableRowError(f"{reason}; {way_around('choices')}", column)
    texts = tuple(
        [checked_text(text, column) if type(text) is str else as_text(text, column, columns) for text in value]
    )
    _check(texts, column)
    if labels is None:
        return Options(texts, (), value)
    keys = _keys(labels, len(texts))
    return Options(texts, keys, value, bad_keys=not keys)


def _unwritten(text: str) -> Any:
    """The list or struct that a text stands for, as JSON or as Python or numpy print it; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        found = fields_of(text)
        return listed(text) if found is None else found


def _of_structs(options: list[Mapping[str, Any]], column: str) -> tuple[Any, Any]:
    """The options of ``[{"label": "A", "text": …}, …]`` and their labels."""
    if not all(isinstance(option.get(TEXT), str | int | float) for option in options):
        names = ", ".join(str(name)[:40] for name in options[0])
        raise UnusableRowError(
            f"{column!r} must have a text in the field 'text' of each option; it has {names}", column
        )
    labels = [option.get(LABEL) for option in options]
    return [option[TEXT] for option in options], None if None in labels else labels


def _of_mapping(value: Mapping[str, Any]) -> tuple[Any, Any]:
    """The options of ``{"text": [...], "label": [...]}`` or ``{"A": ..., "B": ...}`` and their labels."""
    if isinstance(value.get(TEXT), list):
        return value[TEXT], value.get(LABEL)
    kept = {key: text for key, text in value.items() if text is not None}
    if any(isinstance(text, list | Mapping) for text in kept.values()):
        return None, None
    return list(kept.values()), list(kept)


def _beside(row: Mapping[str, Any], column: str) -> Any:
    """The list ``label`` beside the inner field that holds the options."""
    around = value_of(row, column.rpartition(".")[0])
    if type(around) is CsvCell:
        around = json.loads(around)  # it could be read a moment ago
    return around.get(LABEL) if isinstance(around, Mapping) and not column.endswith(".label") else None


def _keys(labels: Any, n_options: int) -> tuple[str, ...]:
    keys = tuple(str(label).strip()[:40] for label in labels) if isinstance(labels, list) else ()
    return keys if len(keys) == len(set(keys)) == n_options else ()


def _lettered(row: Mapping[str, Any], columns: OwnColumns) -> Options:
    """One option a column; the last ones may be empty where a row has fewer."""
    values = [value_of(row, column) for column in columns.lettered]
    texts = [as_text(value, column, columns) for value, column in zip(values, columns.lettered, strict=True)]
    while texts and not texts[-1].strip():
        texts.pop()
    if not texts:
        return NO_OPTIONS
    for text, column in zip(texts, columns.lettered, strict=False):
        if not text.strip():
            raise UnusableRowError(f"{column!r} is empty, and an option after it is not", column)
    if len(texts) == 1:
        raise UnusableRowError(
            f"{columns.lettered[0]!r} is the only option; at least 2 are needed", columns.lettered[0]
        )
    _check(texts, columns.lettered[0])
    return Options(tuple(texts), tuple(ascii_lowercase[: len(texts)]), values[: len(texts)])


def _check(texts: Sequence[str], column: str) -> None:
    problem = repeated_or_empty(texts)
    if problem:
        raise UnusableRowError(f"{column!r}: {problem}", column)
