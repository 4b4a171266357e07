"""Axes: settings that a sweep varies, and the values that each takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raycalib.errors import ConfigError
from raycalib.evaluation.methods import TRAINED
from raycalib.tuning.settings import TuningSettings

ALL_ROWS = "all"
SEED = "seed"
TRAIN_ROWS = "train_rows"
Value = float | int | str


def _rows(text: str) -> int:
    return 0 if text == ALL_ROWS else int(text)


AXES: Mapping[str, Callable[[str], Value]] = {
    "method": str,
    "kl_kind": str,
    "kl_decay": float,
    "steps": int,
    "lr": float,
    TRAIN_ROWS: _rows,
    SEED: int,
}
"""What may be varied, from the text of a value to the value; all but the seed are settings of tuning."""

NEEDS = {float: "a number", int: "a whole number", _rows: f"a whole number or {ALL_ROWS!r}"}


@dataclass(frozen=True)
class Axis:
    """A setting and the values that it takes, in the order in which they are given."""

    name: str
    values: tuple[Value, ...]


def parse_axes(texts: Sequence[str], base: TuningSettings) -> list[Axis]:
    """The axes that are written as ``kl_decay=0,0.5,1``.

    Args:
        texts: one for each axis.
        base: the settings that are varied.

    Raises:
        ConfigError: a name is no axis or stands twice, a value is missing, stands twice, or is one that the setting
            refuses.

    >>> parse_axes(["kl_decay=0,0.5", "train_rows=200,all"], TuningSettings())
    [Axis(name='kl_decay', values=(0.0, 0.5)), Axis(name='train_rows', values=(200, 0))]
    """
    axes = [_parse(text, base) for text in texts]
    names = [axis.name for axis in axes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"axis: {twice[0]!r} stands twice; give all its values at once, as {twice[0]}=A,B")
    return axes


def _parse(text: str, base: TuningSettings) -> Axis:
    name, _, listed = text.partition("=")
    name = name.strip().replace("-", "_")
    if name not in AXES:
        raise ConfigError(f"axis: {name!r} is unknown; allowed: {', '.join(AXES)}, as in kl_decay=0,0.5,1")
    parts = [part.strip() for part in listed.split(",") if part.strip()]
    if not parts:
        raise ConfigError(f"axis: {name} has no values; write them as {name}=A,B")
    values = tuple(_value(name, part, base) for part in parts)
    if len(set(values)) < len(values):
        raise ConfigError(f"axis: {name} has a value twice ({listed}); name each once")
    return Axis(name, values)


def _value(name: str, text: str, base: TuningSettings) -> Value:
    read = AXES[name]
    try:
        value = read(text)
    except ValueError:
        raise ConfigError(f"axis: {name}={text} is not allowed; {NEEDS[read]} is needed") from None
    if name == SEED:
        if isinstance(value, int) and value < 0:
            raise ConfigError(f"axis: seed={text} is not allowed; at least 0")
        return value
    if name == "method" and value not in TRAINED:
        raise ConfigError(
            f"axis: method={text} is not allowed; {', '.join(TRAINED)}, which are trained (the report has "
            "the other methods too)"
        )
    try:
        with_value(base, name, value)
    except ConfigError as error:
        raise ConfigError(f"axis: {error}") from None
    return value


def with_value(settings: TuningSettings, name: str, value: Value) -> TuningSettings:
    """The settings with one of them changed.

    How often a trial evaluates and writes checkpoints follows its steps, in the proportion of the settings; not by
    ``wsd``, whose trials of all lengths share their beginning, evaluations among it.
    """
    changes: dict[str, Any] = {name: value}
    if name == "steps" and settings.schedule == "cosine":
        for every in ("eval_every", "checkpoint_every"):
            changes[every] = max(1, round(getattr(settings, every) * int(value) / settings.steps))
    return replace(settings, **changes)


def shown_value(name: str, value: Value) -> str:
    """A value as it is written in an axis.

    >>> shown_value("train_rows", 0), shown_value("lr", 0.0001), shown_value("kl_decay", 1.0)
    ('all', '0.0001', '1')
    """
    if name == TRAIN_ROWS and value == 0:
        return ALL_ROWS
    return f"{value:g}" if isinstance(value, float) else str(value)
