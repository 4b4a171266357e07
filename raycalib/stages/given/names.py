"""What adapters and probes that are given are called."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
import os

from raycalib.errors import ConfigError
from raycalib.evaluation.methods import BASELINES, COMBINED, LORA, LORA_PROMPT, PROBE, TRAINED
from raycalib.printable import printable_line
from raycalib.stages.given.files import GivenFiles, Kind
from raycalib.stages.given.places import HUB, Field, GivenPlace, RunOrigin

OWN_NAMES: dict[Kind, str] = {"query": LORA_PROMPT, "head": LORA, "probe": PROBE}
"""What a method of this kind is called where it needs no other name."""

BARRED = "+,/="
"""Not in a name: variants are told by ``+``, lists of names by commas, a name from its place by ``=``."""


@dataclass(frozen=True, kw_only=True)
class FoundMethod:
    """A place that was read, before it has a name; ``named`` is the user's, empty where none was given."""

    named: str
    given: GivenPlace
    run: RunOrigin | None
    files: GivenFiles

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""
        if self.run is None:
            return self.given.origin
        folder = "/".join(self.run.folder.uri.rstrip("/").split("/")[-2:])
        return f"from {self.run.model} {self.run.style}, {folder}"


def split_name(field: Field, text: str) -> tuple[str, str]:
    """Name, empty where none is given, and place of ``[NAME=]PLACE``; a place may hold ``=`` too.

    Raises:
        ConfigError: the name is not allowed.
    """
    name, sign, place = text.partition("=")
    if not sign or "/" in name or name.startswith((HUB, "~")) or os.path.exists(text):
        return "", text
    name = name.strip()
    if not name or printable_line(name) != name or set(name) & set(BARRED):
        raise ConfigError(
            f"{field}: the name {printable_line(name)!r} is not allowed; printable, not empty, and without any of "
            f"{' '.join(BARRED)}"
        )
    return name, place


def method_names(found: Sequence[FoundMethod], model: str, style: str, taken: Collection[str]) -> list[str]:
    """A name for each; none twice, and none that stands for another method.

    That is the user's; else ``lora_prompt``, ``lora`` or ``probe`` by what it is. What a run made for another model or
    style has both in its name, and of several whose origin is not known all but the first have their directory's.

    Args:
        found: in the order given.
        model: that is evaluated.
        style: that is evaluated.
        taken: names that other methods have.

    Raises:
        ConfigError: two would have one name, or one that of another kind of method.
    """
    names: list[str] = []
    unknown: set[Kind] = set()
    for one in found:
        names.append(_name(one, model, style, is_first=one.files.kind not in unknown))
        if not one.named and one.run is None:
            unknown.add(one.files.kind)
    others = dict.fromkeys(taken, "the run has such a method itself")
    for name, one in zip(names, found, strict=True):
        field, uri, origin = one.given.field, one.given.uri, printable_line(one.origin)
        if name in {*BASELINES, *TRAINED, COMBINED} - {OWN_NAMES[one.files.kind]}:
            raise ConfigError(
                f"{field}: {name!r} is the name of another method, and {uri} is none of that kind; give it another "
                f"name: --{field} NAME={uri}"
            )
        if name in others:
            raise ConfigError(
                f"{field}: two methods are called {name!r}, {uri} and another ({others[name]}); give it a name of its "
                f"own: --{field} NAME={uri}"
            )
        others[name] = origin
    return names


def _name(one: FoundMethod, model: str, style: str, *, is_first: bool) -> str:
    """The user's name; else the method's own, with what tells it apart."""
    own = OWN_NAMES[one.files.kind]
    if one.named:
        return one.named
    if one.run is None:
        return own if is_first else _fitting(f"{one.given.field} {one.given.short}")
    if (one.run.model, one.run.style) == (model, style):
        return own
    return _fitting(f"{own} (from {one.run.model} {one.run.style})")


def _fitting(name: str) -> str:
    """A name made of a directory's or a model's, without what a name may not hold."""
    return printable_line(name).translate(str.maketrans(BARRED, "-" * len(BARRED)))
