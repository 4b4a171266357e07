"""All sources on the hub, by name."""

from difflib import get_close_matches

from raycalib.errors import ConfigError
from raycalib.sources.hub.declaration import HubSource
from raycalib.sources.hub.declared import (
    commonsense,
    coreference,
    entailment,
    knowledge,
    mathematics,
    reading,
    science,
)

KIN = (commonsense, coreference, entailment, knowledge, mathematics, reading, science)
HUB_SOURCES: dict[str, HubSource] = {
    source.name: source for source in sorted((s for kin in KIN for s in kin.SOURCES), key=lambda s: s.name)
}
"""From name to source, sorted; MMLU's tasks are ``mmlu:TASK``, MMLU-Pro's categories ``mmlu_pro:CATEGORY``."""


def hub_source(name: str) -> HubSource:
    """The source of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in HUB_SOURCES:
        near = get_close_matches(name, HUB_SOURCES, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(_families())}"
        raise ConfigError(f"source: {name!r} is unknown; {hint}")
    return HUB_SOURCES[name]


def mixture_sources(style: str) -> tuple[HubSource, ...]:
    """The sources of the paper's training mixture in one style, sorted by name."""
    return tuple(source for source in HUB_SOURCES.values() if style in source.mixture_styles)


def _families() -> list[str]:
    return list(dict.fromkeys(name.partition(":")[0] + (":…" if ":" in name else "") for name in HUB_SOURCES))
