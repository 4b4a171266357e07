"""From Arrow tables to rows: few at a time where rows are large, and cells that cannot be read as faults."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from raycalib.sources.files.narrow_floats import widening
from raycalib.sources.files.raw_row import RawRow

BATCH_ROWS = 4096
BATCH_BYTES = 2**24
NOT_UTF8 = "\udcff"


def rows_at_once(n_rows: int, n_bytes: int) -> int:
    """How many rows to hold at a time: a power of two from 1 to 4,096, of at most 16 MiB unless one row is larger.

    >>> rows_at_once(1000, 10**6), rows_at_once(1000, 10**9), rows_at_once(20, 10**9)
    (4096, 16, 1)
    """
    fitting = max(1, BATCH_BYTES * n_rows // max(n_bytes, 1)) if n_rows else BATCH_ROWS
    return min(BATCH_ROWS, 1 << (fitting.bit_length() - 1))


def arrow_rows(table: pa.RecordBatch | pa.Table, n_before: int) -> Iterator[RawRow]:
    """The rows of a table, numbered from ``n_before + 1``.

    Bytes that are no UTF-8 become lone surrogates, which refuse the row that uses them and not the table. Floats of
    fewer than 64 bits become the numbers that they are written as.
    """
    widened = {field.name: widen for field in table.schema if (widen := widening(field.type)) is not None}
    for row in _rows(table, n_before):
        if widened:
            row.values.update({name: widened[name](row.values[name]) for name in widened if name in row.values})
        yield row


def _rows(table: pa.RecordBatch | pa.Table, n_before: int) -> Iterator[RawRow]:
    step = rows_at_once(table.num_rows, table.nbytes)
    for start in range(0, table.num_rows, step):
        part = table.slice(start, step)
        first = n_before + start + 1
        try:
            rows = part.to_pylist()
        except (ValueError, OverflowError):
            yield from (_row(part, index, first + index) for index in range(part.num_rows))
        else:
            for number, values in enumerate(rows, first):
                yield RawRow(number, values)


def _row(table: pa.RecordBatch | pa.Table, index: int, number: int) -> RawRow:
    values: dict[str, Any] = {}
    for name, column in zip(table.schema.names, table.columns, strict=True):
        try:
            values[name] = _value(column[index])
        except (ValueError, OverflowError) as error:
            cause = (str(error).splitlines() or [type(error).__name__])[0]
            return RawRow(number, {}, f"{name!r} cannot be read: {cause[:120]}")
    return RawRow(number, values)


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        if isinstance(scalar, pa.StructScalar):
            return {name: _value(value) for name, value in scalar.items()}
        if isinstance(scalar, pa.ListScalar) and not isinstance(scalar, pa.MapScalar):
            return [_value(value) for value in scalar.values]
        if isinstance(scalar, pa.BinaryScalar):
            return scalar.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
        return NOT_UTF8
