"""A declaration as plain text, so that a change of it changes the key of the questions made with it."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass

from raycalib.sources.hub.declaration import HubSource


def declared(source: HubSource) -> str:
    """All that decides what a row of the source becomes, and which rows are taken.

    Readers of columns are told by their names and what they were made with (``number(column='label', first=1)``), their
    code is not: a correction inside a reader asks for another name.
    """
    return _text(source)


def _text(value: object) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({_text({field.name: getattr(value, field.name) for field in fields(value)})})"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(value[key])}" for key in sorted(value))
    if isinstance(value, tuple | list):
        return f"[{', '.join(_text(part) for part in value)}]"
    return _reader(value) if callable(value) else repr(value)


def _reader(function: Callable[..., object]) -> str:
    """A reader's name, the values that it closes over, and the names and constants of a lambda."""
    code = getattr(function, "__code__", None)
    if code is None:
        return getattr(function, "__qualname__", type(function).__name__)
    closed = {name: cell.cell_contents for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)}
    inside = [*code.co_names, *(part for part in code.co_consts if isinstance(part, str))]
    return f"{function.__qualname__}({_text(closed)}){inside if code.co_name == '<lambda>' else ''}"
