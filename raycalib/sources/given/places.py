"""Where answers and labelled rows come in from: a file, a directory, the hub, the paper's csv, its released sets."""

from dataclasses import dataclass
from pathlib import Path
import re
from typing import Literal

from raycalib.errors import ConfigError
from raycalib.records import PROMPT_STYLES
from raycalib.sources.given.released import BASES, released_dataset
from raycalib.sources.names import DATASET
from raycalib.sources.reading import READERS

PlaceKind = Literal["file", "directory", "hub", "offline", "paper"]

ALLOWED = (
    f"a file ({', '.join(READERS)}), a directory of such files, hub:ORG/NAME[:CONFIG], offline:DIR (the layout of the "
    "paper's code), paper:MODEL/STYLE (its released sets, such as paper:llama2:13b-chat/oe)"
)
PREFIX = re.compile(r"([a-z][a-z0-9_+.-]*):")


@dataclass(frozen=True, kw_only=True)
class GivenPlace:
    """A place as it was named; nothing has been looked for yet.

    Attributes:
        kind: what it is.
        text: as the user wrote it.
        path: of a file, a directory, or the paper's layout; empty for the hub.
        hub_id: of a dataset on the hub, a released set among them.
        config: its configuration; None is the default one.
        model: whose answers a released set holds.
        style: of a released set's rows.
    """

    kind: PlaceKind
    text: str
    path: str = ""
    hub_id: str = ""
    config: str | None = None
    model: str = ""
    style: str | None = None

    @property
    def label(self) -> str:
        """What the records' column ``source`` holds where the rows do not say: the text, of a path its last part."""
        return f"{'offline' if self.kind == 'offline' else 'file'}:{self.stem_and_ending}" if self.path else self.text

    @property
    def stem_and_ending(self) -> str:
        """The last part of the path."""
        return Path(self.path).absolute().name

    @property
    def default_task(self) -> str:
        """What figures are broken down by where the rows do not say."""
        return Path(self.stem_and_ending).stem if self.path else self.hub_id.rpartition("/")[2]


def parse_place(text: str) -> GivenPlace:
    """The place that a text names.

    >>> parse_place("paper:llama2:13b-chat/oe").hub_id
    'calibration-tuning/Llama-2-13b-chat-hf-20k-oe'
    >>> parse_place("mine.csv").kind, parse_place("offline:logs/run").path
    ('file', 'logs/run')

    Raises:
        ConfigError: it names none.
    """
    found = PREFIX.match(text)
    prefix, rest = (found[1], text[found.end() :]) if found else ("", text)
    if prefix == "paper":
        return _released(text, rest)
    if prefix == "hub":
        if not DATASET.fullmatch(text):
            raise ConfigError(f"place: {text!r} names no dataset on the hub; write hub:ORG/NAME or hub:ORG/NAME:CONFIG")
        hub_id, _, config = rest.partition(":")
        return GivenPlace(kind="hub", text=text, hub_id=hub_id, config=config or None)
    if prefix in ("offline", "file") and not rest.strip():
        raise ConfigError(f"place: {text!r} lacks a path; allowed: {ALLOWED}")
    if prefix == "offline":
        return GivenPlace(kind="offline", text=text, path=rest)
    path = rest if prefix == "file" else text
    if not path.strip() or (prefix not in ("", "file") and not Path(text).exists()):
        raise ConfigError(f"place: {text!r} is unknown; allowed: {ALLOWED}")
    kind: PlaceKind = "file" if Path(path).suffix in READERS and not Path(path).is_dir() else "directory"
    return GivenPlace(kind=kind, text=text, path=path)


def _released(text: str, rest: str) -> GivenPlace:
    model, _, style = rest.rpartition("/")
    if model not in BASES or style not in PROMPT_STYLES:
        raise ConfigError(
            f"place: {text!r} is none of the released sets; write paper:MODEL/STYLE with a model of "
            f"{', '.join(BASES)} and a style of {', '.join(PROMPT_STYLES)}"
        )
    return GivenPlace(kind="paper", text=text, hub_id=released_dataset(model, style), model=model, style=style)
