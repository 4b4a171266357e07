"""Floats of 16 and 32 bits as the numbers that their writer saw: 0.1, not 0.10000000149011612."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

Widen = Callable[[Any], Any]


def widening(kind: pa.DataType) -> Widen | None:
    """From a value of the type, as Python has it, to one whose narrow floats read shortest; None where it has none.

    >>> widening(pa.list_(pa.float32()))([0.10000000149011612, None])
    [0.1, None]
    >>> widening(pa.float64()) is None
    True
    """
    if pa.types.is_float32(kind):
        return lambda value: _shortest(value, np.float32)
    if pa.types.is_float16(kind):
        return lambda value: _shortest(value, np.float16)
    if pa.types.is_dictionary(kind):
        return widening(kind.value_type)
    if pa.types.is_struct(kind):
        return _of_struct({field.name: widen for field in kind if (widen := widening(field.type)) is not None})
    if pa.types.is_map(kind):
        return _of_pairs(widening(kind.key_type), widening(kind.item_type))
    inner = widening(kind.value_type) if hasattr(kind, "value_type") else None
    return None if inner is None else lambda values: values if values is None else [inner(value) for value in values]


def _shortest(value: float | None, width: type[np.floating[Any]]) -> float | None:
    """The double that is written as the narrow float is: the fewest digits that read back as it."""
    return None if value is None else float(str(width(value)))


def _of_struct(inner: dict[str, Widen]) -> Widen | None:
    if not inner:
        return None
    return lambda value: value and {name: inner[name](part) if name in inner else part for name, part in value.items()}


def _of_pairs(key: Widen | None, item: Widen | None) -> Widen | None:
    if key is None and item is None:
        return None
    return lambda pairs: pairs and [(key(k) if key else k, item(i) if item else i) for k, i in pairs]
