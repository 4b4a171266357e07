"""The labelled sets that the paper's authors released on the hub, one per model and prompt style."""

from raycalib.records import PROMPT_STYLES

ORGANIZATION = "calibration-tuning"

BASES = {
    "llama2:7b": "Llama-2-7b-hf",
    "llama2:7b-chat": "Llama-2-7b-chat-hf",
    "llama2:13b": "Llama-2-13b-hf",
    "llama2:13b-chat": "Llama-2-13b-chat-hf",
    "mistral:7b": "Mistral-7B-v0.1",
    "mistral:7b-instruct": "Mistral-7B-Instruct-v0.2",
}
"""How the released sets spell the six models: as the hub spells their weights.

Source: the table of releases in the README of github.com/activatedgeek/calibration-tuning.
"""

RELEASED_SPLITS = ("train", "validation")


def released_dataset(model: str, style: str) -> str:
    """The hub id of a released set.

    >>> released_dataset("llama2:13b-chat", "oe")
    'calibration-tuning/Llama-2-13b-chat-hf-20k-oe'
    """
    assert style in PROMPT_STYLES, "it was parsed"
    return f"{ORGANIZATION}/{BASES[model]}-20k-{style}"
