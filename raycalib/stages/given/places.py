"""Where adapters and probes that are given lie: in a directory, in a run, or on the hub."""

from dataclasses import dataclass
from glob import escape
from pathlib import Path
import re
from typing import Any, Final, Literal, NamedTuple

from raycalib.errors import ConfigError, DataError, ModelError
from raycalib.printable import printable_line
from raycalib.secrets import hide_message
from raycalib.storage import Location
from raycalib.storage.manifest import MANIFEST_NAME

Field = Literal["adapter", "probe", "temperature"]

HUB: Final = "hub:"
HUB_PLACE = re.compile(
    r"hub:(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^:\s]+))?(?::(?P<inside>[^:\s]+))?", re.ASCII
)
FROM_HUB = f"from {HUB}"
HUB_FORM = "hub:ORG/NAME, hub:ORG/NAME@REVISION or hub:ORG/NAME:FOLDER"
COMMIT_SHOWN = 10
ADAPTER_FOLDER, HEAD_FOLDER = "adapter", "head"
"""Where a tuned combo of a run keeps both."""

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
FILES = (".safetensors", *PICKLES)
MOST_NAMES = 5


@dataclass(frozen=True, kw_only=True)
class GivenPlace:
    """A directory that a text names.

    Attributes:
        field: what it is to hold; the option's name.
        text: as the user wrote it.
        place: the directory.
        file: in it, where the text names one; else empty.
        origin: where it comes from, in words.
        short: the directory's name, for a method's.
    """

    field: Field
    text: str
    place: Location
    file: str
    origin: str
    short: str

    @property
    def uri(self) -> str:
        """What the text names, by its full path; of the hub, the text."""
        if self.text.startswith(HUB):
            return self.text
        return (self.place / self.file).uri if self.file else self.place.uri


class RunOrigin(NamedTuple):
    """What made a directory of a run, as its manifest says; ``method`` is empty where nothing was tuned."""

    model: str
    style: str
    method: str
    folder: Location


def open_place(field: Field, text: str, files: tuple[str, ...], data_root: str | None = None) -> GivenPlace:
    """The directory that a text names; of the hub's, the files are fetched.

    Args:
        field: what it is to hold.
        text: a directory, a file in one, or ``hub:ORG/NAME[@revision][:folder]``.
        files: that are wanted of a repository of the hub; a file that the text names comes in their place.
        data_root: where a copy of the hub's repository may lie, as ``data_root/ORG/NAME``.

    Raises:
        ConfigError: the text names no place, or one with a secret in it.
        ModelError: the hub and its cache do not have it.
    """
    if not text.strip():
        raise ConfigError(f"{field}: no place is given; allowed: a directory, or {HUB_FORM}")
    if text.startswith(HUB):
        return _hub_place(field, text, files, data_root)
    place = Location(str(Path(text).expanduser()) if text.startswith("~") else text.rstrip("/") or "/").absolute()
    file = place.name if place.name.endswith(FILES) else ""
    folder = parent_of(place) if file else place
    named = parent_of(folder) if folder.name in (ADAPTER_FOLDER, HEAD_FOLDER) else folder
    return GivenPlace(field=field, text=text, place=folder, file=file, origin=f"from {place.uri}", short=named.name)


def parent_of(place: Location) -> Location:
    """The directory that this one lies in; itself at the top."""
    start, _, _ = place.uri.rstrip("/").rpartition("/")
    return Location(start or "/") if not start.endswith("/") else place


def run_origin(place: Location) -> RunOrigin | None:
    """What made a directory, or the one that it lies in; None where it is no run's."""
    for folder in (place, parent_of(place)):
        if not folder.exists(MANIFEST_NAME):
            continue
        try:
            manifest = folder.read_json(MANIFEST_NAME)
        except DataError:
            continue
        config = _mapping(_mapping(manifest).get("config"))
        model, style = config.get("model"), config.get("style")
        if isinstance(model, str) and isinstance(style, str):
            return RunOrigin(model, style, str(_mapping(config.get("settings")).get("method", "")), folder)
    return None


def nothing_there(given: GivenPlace, place: Location, wanted: str) -> ModelError:
    """That a directory does not hold what is wanted, and what it holds."""
    names = [printable_line(name) for name in place.names()]
    if not names:
        return ModelError(f"{given.field}: {place.uri} does not exist or is empty; give a directory with {wanted}")
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    lying = ", ".join(names[:MOST_NAMES]) + more
    way_out = "give the directory that holds it"
    if given.origin.startswith(FROM_HUB):  # nothing else of the repository was fetched
        way_out = "where the repository has pickles alone (.bin), convert them once and give the directory"
    return ModelError(f"{given.field}: {place.uri} holds no {wanted}; there lie {lying}; {way_out}")


def pickle_refused(given: GivenPlace, name: str, remedy: str) -> ModelError:
    """That a file may run code when it is read, and how to convert it."""
    return ModelError(
        f"{given.field}: {(given.place / name).uri} is a pickle, which can run code when it is read; where you trust "
        f"it, {remedy}"
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _hub_place(field: Field, text: str, files: tuple[str, ...], data_root: str | None) -> GivenPlace:
    found = HUB_PLACE.fullmatch(text)
    inside = (found["inside"] or "").strip("/") if found else ""
    if found is None or ".." in inside.split("/"):
        raise ConfigError(f"{field}: {text!r} names nothing on the hub; allowed: {HUB_FORM}")
    repository, revision = found["repository"], found["revision"]
    file = inside.rpartition("/")[2] if inside.endswith(FILES) else ""
    folder = inside.removesuffix(file).strip("/")
    copy = Path(data_root, repository) if data_root else None
    if copy is not None and copy.is_dir():
        root, origin = copy, f"from {copy}"
    else:
        wanted = [escape(f"{folder}/{name}".lstrip("/")) for name in ([file] if file else files)]
        root = _fetched(field, text, repository, revision, wanted)
        origin = f"{FROM_HUB}{repository}@{root.name[:COMMIT_SHOWN]}"
    place = Location(str((root / folder).absolute()))
    short = "/".join(part for part in (repository.partition("/")[2], folder) if part).replace("/", " ")
    origin = f"{origin}:{inside}" if inside else origin
    return GivenPlace(field=field, text=text, place=place, file=file, origin=origin, short=short)


def _fetched(field: Field, text: str, repository: str, revision: str | None, wanted: list[str]) -> Path:
    """The directory of a commit in the hub's cache, with the wanted files, where the commit has them."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted))
    except Exception as error:  # the hub's client raises many kinds, from OSError to its own
        cause = hide_message(str(error).strip().split("\n")[0]) or type(error).__name__
        raise ModelError(
            f"{field}: {text} is neither on the hub nor in its cache: {cause}; log in with `hf auth login` where its "
            "licence asks for that, or download it with `hf download` and give the directory"
        ) from error
