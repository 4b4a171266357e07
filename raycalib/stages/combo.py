"""A combo, the rows of its sets, and the methods that give its answers a confidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from raycalib.evaluation.methods import OF_CHOICE_ALONE
from raycalib.hashing import stable_hash
from raycalib.lm.names import ModelSource
from raycalib.stages.output import StageOutput
from raycalib.storage import Location
from raycalib.tuning.platt import Platt
from raycalib.tuning.temperature import Temperature


class Unit(NamedTuple):
    """Questions that a stage does as one: a set in one style."""

    set: str
    style: str

    def __str__(self) -> str:
        return f"{self.set} {self.style}"


@dataclass(frozen=True, kw_only=True)
class Combo:
    """A model with a prompt style."""

    model: ModelSource
    style: str

    @property
    def slug(self) -> str:
        """As a part of a file name."""
        return f"{self.model.slug}-{self.style}"

    def __str__(self) -> str:
        return f"{self.model.name} {self.style}"


@dataclass(frozen=True, kw_only=True)
class SetRows:
    """Answers of a combo to one set, with what is known of them.

    Attributes:
        labelled: the answers, right or wrong.
        features: what the base model says and holds of them.
        scored: by method, what a tuned model says of them.
    """

    labelled: StageOutput
    features: StageOutput
    scored: Mapping[str, StageOutput] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """Of all that predictions are made from."""
        return [self.labelled.key, self.features.key, *(output.key for output in self.scored.values())]


@dataclass(frozen=True, kw_only=True)
class GivenProbe:
    """A classifier on the frozen model's hidden states that exists already."""

    place: Location
    file: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Method:
    """What gives answers a confidence.

    Attributes:
        name: in predictions and tables.
        probe: a classifier that is given, which is not fitted.
        temperature: one that is given, shown beside the one that is fitted.
        hole: why it has no confidences; empty where it may have some.
    """

    name: str
    probe: GivenProbe | None = None
    temperature: Temperature | None = None
    hole: str = ""

    def is_for(self, style: str) -> bool:
        """Whether answers of the style can have such a confidence."""
        return style == "choice" or self.name not in OF_CHOICE_ALONE

    @property
    def slug(self) -> str:
        """The name as a part of a file name."""
        kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in self.name)
        return kept if kept == self.name else f"{kept}-{stable_hash(self.name)[:6]}"

    def identity(self) -> dict[str, Any]:
        """What decides its confidences beside the rows, plain values."""
        found: dict[str, Any] = {"name": self.name}
        if self.probe is not None:
            found["probe"] = self.probe.fingerprint
        if self.temperature is not None:
            found["given_temperature"] = self.temperature.log_temperature
        if isinstance(self.temperature, Platt):
            found["given_shift"] = self.temperature.shift
        return found | ({"hole": True} if self.hole else {})
