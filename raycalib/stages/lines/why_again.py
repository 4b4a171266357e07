"""Says why what looks as if it were done is done again: which settings or versions are others than before."""

from collections.abc import Iterator, Mapping
import json
from typing import Any

from raycalib.errors import RaycalibError
from raycalib.hashing import canonical_json
from raycalib.printable import printable_line
from raycalib.stages.lines.progress import say
from raycalib.storage import Location, Manifest, read_manifest

DIGITS = 10
"""Of the key, at the end of a directory's name."""

SHOWN = 3
MOST_READ = 8
"""Manifests of others of its kind; on an object store each is a request."""


def say_why_again(place: Location, title: str, identity: Mapping[str, Any], inputs: tuple[str, ...] = ()) -> None:
    """One line where the same was made before from the same inputs by other settings or an older version.

    Args:
        place: of the stage, not there yet.
        title: of the stage, as a user reads it.
        identity: what decides it.
        inputs: keys of what it is made from; where others were before, those have said so.
    """
    parent, name = Location(place.uri.rpartition("/")[0]), place.name[: -DIGITS - 1]
    before = [each for each in parent.names() if each != place.name and each[: -DIGITS - 1] == name]
    manifests = [found for each in before[:MOST_READ] if (found := _manifest(parent / each))]
    last = max(manifests, key=lambda manifest: manifest.finished, default=None)
    if last is not None and last.inputs == inputs and (changed := _changed(last, identity)):
        say(printable_line(f"  {title}: done again, since {changed}"))


def _manifest(place: Location) -> Manifest | None:
    """Of another directory, which never stops this one from being made."""
    try:
        return read_manifest(place)
    except RaycalibError:
        return None


def _changed(last: Manifest, identity: Mapping[str, Any]) -> str:
    """Which values are others; empty for none."""
    old, new = dict(_flat(last.config)), dict(_flat(json.loads(canonical_json(identity))))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    named = sorted((name for name in names if name in new or name != "model"), key=lambda name: "version" not in name)
    parts = [f"{name} is {_shown(new.get(name))} and was {_shown(old.get(name))}" for name in named[:SHOWN]]
    more = f", and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return f"{'; '.join(parts)}{more}" if parts else ""


def _flat(values: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Values by name, those within others as ``settings.lr``."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _shown(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
