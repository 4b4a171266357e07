"""The paper's released adapters, by name (``paper:mistral:7b-instruct/oe``): which repository of the hub is which.

Source: huggingface.co/calibration-tuning.
"""

from typing import NamedTuple

from raycalib.errors import ConfigError
from raycalib.lm.names import HUB_IDS
from raycalib.records import PROMPT_STYLES
from raycalib.storage import Location

PICKLES = ("temperature_model.pt", "query_temperature_head.bin", "classifier_model.bin", "classifier_model.pt")
PREFIX, OWNER = "paper:", "calibration-tuning"


class PaperModel(NamedTuple):
    """An adapter that the paper's authors released: its repository, its base model and its style."""

    repository: str
    base: str
    style: str


def paper_model(name: str) -> PaperModel:
    """The adapter of a combo's name.

    >>> paper_model("paper:llama2:13b-chat/choice").repository
    'calibration-tuning/Llama-2-13b-chat-hf-ct-choice'

    Raises:
        ConfigError: there is none of that name.
    """
    base, _, style = name.removeprefix(PREFIX).rpartition("/")
    if base not in HUB_IDS or style not in PROMPT_STYLES:
        raise ConfigError(
            f"bundle: {name!r} is none of the paper's; {PREFIX}MODEL/STYLE with {', '.join(HUB_IDS)} and "
            f"{' or '.join(PROMPT_STYLES)}"
        )
    return PaperModel(f"{OWNER}/{HUB_IDS[base].partition('/')[2]}-ct-{style}", base, style)


def of_repository(repository: str) -> PaperModel | None:
    """The combo that a repository, or a copy's directory of its name, is the adapter of; None where it is none."""
    name = repository.rstrip("/").rpartition("/")[2]
    for base in HUB_IDS:
        for style in PROMPT_STYLES:
            found = paper_model(f"{base}/{style}")
            if found.repository.rpartition("/")[2] == name:
                return found
    return None


def fetch(model: PaperModel) -> Location:
    """The adapter's files in the hub's cache: JSON, safetensors, and the small pickles of temperature and classifier.

    Raises:
        ConfigError: neither the hub nor the cache has it.
    """
    from huggingface_hub import snapshot_download

    try:
        return Location(snapshot_download(model.repository, allow_patterns=["*.json", "*.safetensors", *PICKLES]))
    except (OSError, ValueError) as error:
        cause = str(error).strip().split("\n")[0]
        raise ConfigError(
            f"adapter: {model.repository} is neither on the hub nor in its cache: {cause}; log in by `hf auth login`, "
            "or give the directory of a copy"
        ) from error
