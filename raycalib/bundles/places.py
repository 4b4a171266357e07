"""Where a bundle is that a text names: a directory, an fsspec URI, an id of the hub, or one of the paper's adapters."""

import os
from pathlib import Path

from raycalib.bundles.paper_models import PREFIX, fetch, paper_model
from raycalib.bundles.record import RECORD
from raycalib.errors import ConfigError
from raycalib.hashing import stable_hash
from raycalib.storage import Location

FETCHED = ["*.json", "*.safetensors", "*.md"]
"""Of a bundle on the hub: nothing that could be run."""


def find_bundle_place(text: str, base: str | None = None) -> tuple[Location, bool]:
    """The directory of a bundle, and whether it lies in a cache, which is not written to.

    Args:
        text: a directory, an fsspec URI, an id of the hub (``org/name``, ``org/name@revision``), or
            ``paper:MODEL/STYLE``, whose adapter is fetched and converted once.
        base: directory or hub id of the base model, where it is not on the hub; an adapter of the paper's is compared
            with it when it is converted.

    Raises:
        ConfigError: there is none.
        ModelError: an adapter of the paper's cannot be converted.
    """
    if text.startswith(PREFIX):
        return _converted(text, base), True
    place = Location(text)
    return (place, False) if place.exists(RECORD) else (_fetched(text), True)


def _fetched(text: str) -> Location:
    """A bundle of the hub, in its cache."""
    name, _, revision = text.partition("@")
    if "://" in text or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ConfigError(
            f"bundle: there is no {RECORD} in {text}; name a bundle's directory (runs/demo/bundles/llama2-7b-oe), "
            f"an fsspec URI, an id of the hub (org/name), or {PREFIX}MODEL/STYLE"
        )
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(name, revision=revision or None, allow_patterns=FETCHED)
    except (OSError, ValueError) as error:
        cause = str(error).strip().split("\n")[0]
        raise ConfigError(
            f"bundle: {text} is neither a directory with a {RECORD} nor a bundle of the hub: {cause}"
        ) from error
    if not Location(found).exists(RECORD):
        raise ConfigError(
            f"bundle: {text} of the hub has no {RECORD}, so raycalib did not make it; where it is an adapter of the "
            "paper's code, jobs/convert.py makes one of it"
        )
    return Location(found)


def _converted(text: str, base: str | None) -> Location:
    """A bundle of an adapter that the paper's authors released, kept below HF_HOME."""
    from raycalib.bundles.convert import Conversion, convert
    from raycalib.lm.loading import pin_revision
    from raycalib.lm.names import find_model

    model = paper_model(text)
    adapter = fetch(model)
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    key = stable_hash(adapter.name, base)  # the name of a snapshot is its commit
    place = Location(str(home / "raycalib" / f"{model.repository.replace('/', '--')}-{key[:10]}"))
    if not place.exists(RECORD):
        if place.names():  # of a conversion that was cut off
            place.remove()
        wanted = Conversion(
            adapter=adapter,
            base=pin_revision(find_model(base or model.base)),
            style=model.style,
            source="all_20k_uniform",
        )
        convert(wanted, place)
    return place
