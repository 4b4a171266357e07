"""Cells: what each trial of a sweep is tuned with; cells that come to the same are one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
import math
import random

from raycalib.errors import ConfigError
from raycalib.evaluation.methods import LORA_PROMPT, PROBE
from raycalib.hashing import stable_seed
from raycalib.sweeps.axes import SEED, TRAIN_ROWS, Axis, Value, shown_value, with_value
from raycalib.tuning.settings import TuningSettings


@dataclass(frozen=True)
class Cell:
    """A combo's settings and seed.

    Attributes:
        combo: as ``llama2:7b/oe``.
        values: of each axis that the trial hangs on, in the axes' order.
        settings: of tuning.
        seed: of weights, dropout and data order.
    """

    combo: str
    values: tuple[tuple[str, Value], ...]
    settings: TuningSettings
    seed: int

    @property
    def is_probe(self) -> bool:
        """Whether it is a classifier on stored features, which no language model is needed for."""
        return self.settings.method == PROBE

    @property
    def title(self) -> str:
        """What tells it from others of its combo, as ``kl_decay=1 steps=500``."""
        return " ".join(f"{name}={shown_value(name, value)}" for name, value in self.values)

    def value(self, axis: str) -> Value | None:
        """Of an axis; None where the sweep has no such axis."""
        return dict(self.values).get(axis)

    def with_seed(self, seed: int) -> "Cell":
        """The same with another seed."""
        values = (*((name, value) for name, value in self.values if name != SEED), (SEED, seed))
        return replace(self, seed=seed, values=values)

    def with_all_rows(self) -> "Cell":
        """The same, tuned on all rows that there are."""
        values = tuple((name, 0 if name == TRAIN_ROWS else value) for name, value in self.values)
        return replace(self, values=values, settings=replace(self.settings, train_rows=0))

    @property
    def without_seed(self) -> tuple[str, tuple[tuple[str, Value], ...]]:
        """What repeats of it with other seeds share."""
        return self.combo, tuple((name, value) for name, value in self.values if name != SEED)


def matching_combos(patterns: Sequence[str], combos: Sequence[str]) -> list[str]:
    """The combos that one of the patterns matches, as ``llama2:*/oe``; all where none is given.

    Raises:
        ConfigError: a pattern matches none.

    >>> matching_combos(["llama2:*/oe"], ["llama2:7b/oe", "llama2:7b/choice", "mistral:7b/oe"])
    ['llama2:7b/oe']
    """
    for pattern in patterns:
        if not any(fnmatchcase(combo, pattern) for combo in combos):
            raise ConfigError(f"combos: {pattern!r} matches no combo of this run; there are {', '.join(combos)}")
    return [combo for combo in combos if not patterns or any(fnmatchcase(combo, pattern) for pattern in patterns)]


def grid(combos: Sequence[str], axes: Sequence[Axis], base: TuningSettings, seed: int) -> list[Cell]:
    """All cells, in the order in which they are begun.

    First comes one of each combo: what it computes that others need is there for them. Then come those of a model one
    after the other, which find it loaded. A setting that a method has no use for is as in the run's, and cells that
    come to the same are one.
    """
    found = dict[tuple[str, TuningSettings, int], Cell]()
    for values in product(*(axis.values for axis in axes)):
        named = list(zip([axis.name for axis in axes], values, strict=True))
        for combo in combos:
            cell = _cell(combo, named, base, seed)
            found.setdefault((combo, cell.settings, cell.seed), cell)
    cells = list(found.values())
    first = {cell.combo: place for place, cell in reversed(list(enumerate(cells)))}
    models = list(dict.fromkeys(_model(combo) for combo in combos))
    return [
        cell
        for _, cell in sorted(
            enumerate(cells),
            key=lambda each: (each[0] != first[each[1].combo], models.index(_model(each[1].combo)), each[0]),
        )
    ]


def _model(combo: str) -> str:
    return combo.rpartition("/")[0]


def _cell(combo: str, named: Sequence[tuple[str, Value]], base: TuningSettings, seed: int) -> Cell:
    not_used = _not_used(_with_values(base, named))
    used = [(name, value) for name, value in named if name not in not_used]
    own_seed = next((int(value) for name, value in named if name == SEED), seed)
    return Cell(combo, tuple(used), _with_values(base, used), own_seed)


def _with_values(settings: TuningSettings, named: Sequence[tuple[str, Value]]) -> TuningSettings:
    for name, value in named:
        if name != SEED:
            settings = with_value(settings, name, value)
    return settings


def _not_used(settings: TuningSettings) -> Sequence[str]:
    """Settings that change nothing beside the others."""
    if settings.method == PROBE:  # its own settings are the run's
        return "kl_decay", "kl_kind", "lr", "steps"
    if settings.method != LORA_PROMPT:
        return "kl_decay", "kl_kind"
    return () if settings.kl_decay else ("kl_kind",)


def sample(cells: Sequence[Cell], n: int, seed: int) -> list[Cell]:
    """So many of the cells, drawn without replacement; more draws add to fewer."""
    drawn = list(range(len(cells)))
    random.Random(stable_seed("sweep", seed)).shuffle(drawn)
    return [cells[place] for place in sorted(drawn[:n])]


def within_rows(cells: Sequence[Cell], n_rows: Mapping[str, int]) -> list[Cell]:
    """The cells, where those that want as many training rows as their combo has, or more, want all and are one.

    Args:
        cells: of a sweep.
        n_rows: that can be tuned on, by combo; those of a combo that is missing stay as they are.
    """
    return list(
        dict.fromkeys(
            cell.with_all_rows() if cell.settings.train_rows >= n_rows.get(cell.combo, math.inf) else cell
            for cell in cells
        )
    )
