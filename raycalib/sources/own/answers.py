"""Which option of a row of your own is the right one; a value that could mean two of them is refused."""

from collections.abc import Mapping
from string import ascii_lowercase
from typing import Any

from raycalib.sources.files.raw_row import CsvCell
from raycalib.sources.hub.columns import option_number, shown, whole_number
from raycalib.sources.hub.item import UnusableRowError
from raycalib.sources.own.columns import OwnColumns
from raycalib.sources.own.options import Options
from raycalib.sources.own.right_answers import texts_of
from raycalib.sources.own.values import as_text, value_of


def answer_index(row: Mapping[str, Any], columns: OwnColumns, options: Options) -> int:
    """The place of the right option.

    Raises:
        UnusableRowError: none of them is meant, or it is not clear which.
    """
    if columns.answer_index is not None:
        return _named(value_of(row, columns.answer_index), columns.answer_index, options)
    column = columns.answer or ""
    value = _only_one(value_of(row, column), column, columns)
    if isinstance(value, bool) or (column in columns.truths and type(value) is CsvCell):
        return _truth(value, column, columns, options)
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        return _equal_number(value, column, options)
    answer = as_text(value, column, columns).strip()
    if not answer:
        raise UnusableRowError(f"{column!r} is empty", column)
    stripped = [option.strip() for option in options.texts]
    by_text = stripped.index(answer) if answer in stripped else None
    by_key = options.at_key(answer) if options.keys else None
    if by_text is not None and by_key is not None and by_text != by_key:
        raise UnusableRowError(f"the {column} {shown(answer)} is the text of one option and the key of another", column)
    found = by_key if by_text is None else by_text
    if found is None:
        raise UnusableRowError(
            f"the {column} {shown(answer)} is not among its options (if {column!r} holds their number or letter, name "
            "it as answer_index_column)",
            column,
        )
    return found


def _only_one(value: Any, column: str, columns: OwnColumns) -> Any:
    """The value in a list of one, and in a struct."""
    if not isinstance(value, list | Mapping) and column not in columns.listed:
        return value
    texts = texts_of(value, column, columns)
    if len(texts) > 1:
        raise UnusableRowError(f"{column!r} has {len(texts)} right answers; of options exactly one is right", column)
    return texts[0] if texts else None


def _truth(value: bool | str, column: str, columns: OwnColumns, options: Options) -> int:
    """The place of the option that says what the truth value does."""
    words = {word.lower() for word in texts_of(value, column, columns)}
    found = [index for index, option in enumerate(options.texts) if option.strip().lower() in words]
    if len(found) != 1:
        raise UnusableRowError(
            f"the {column} {shown(value)} is a truth value, and not one of its options is yes or no, or true or false",
            column,
        )
    return found[0]


def _equal_number(value: int | float, column: str, options: Options) -> int:
    """The place of the option that is this number, where all options are numbers in the file too."""
    if not all(isinstance(option, int | float) and not isinstance(option, bool) for option in options.values):
        raise UnusableRowError(
            f"the {column} {shown(value)} is a number and its options are texts (if {column!r} holds the number of the "
            "right one from 0, name it as answer_index_column; if not, write it as a text)",
            column,
        )
    if value not in options.values:
        raise UnusableRowError(
            f"the {column} {shown(value)} is not among its options (if {column!r} holds their number, name it as "
            "answer_index_column)",
            column,
        )
    return list(options.values).index(value)


def _named(value: Any, column: str, options: Options) -> int:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or value != value:
        raise UnusableRowError(f"{column!r} is null", column)
    if options.bad_keys:
        raise UnusableRowError(f"{column!r} names an option, but their labels are not one different key each", column)
    number = whole_number(value)
    if options.keys and not (isinstance(value, str) and not value.strip()):
        by_key = options.at_key(str(value if number is None else number).strip())
        if by_key is not None:
            return by_key
        if number is None or any(key.isdigit() for key in options.keys):
            raise UnusableRowError(f"{column!r} is {shown(value)}, which is the key of no option", column)
    elif isinstance(value, str) and len(value.strip()) == 1 and value.strip().lower() in ascii_lowercase:
        value = ascii_lowercase.index(value.strip().lower())
    return option_number(value, column, options.texts)
