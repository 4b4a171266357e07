"""What methods, splits and prompt styles are called in tables, plots and remarks."""

from collections.abc import Iterable

from raycalib.evaluation.methods import (
    ANSWER_LIKELIHOOD,
    FAMILY_RATE,
    LORA,
    LORA_PROMPT,
    OPTION_LIKELIHOOD,
    PROBE,
    WITH_TEMPERATURE,
    ZERO_SHOT_QUERY,
)

TUNED_QUERY = LORA_PROMPT
CALIBRATED_QUERY = LORA_PROMPT + WITH_TEMPERATURE
CALIBRATED_PROBE = PROBE + WITH_TEMPERATURE

METHOD_NAMES = {
    ZERO_SHOT_QUERY: "zero-shot query",
    ANSWER_LIKELIHOOD: "answer likelihood",
    OPTION_LIKELIHOOD: "option likelihood",
    FAMILY_RATE: "family rate",
    LORA_PROMPT: "LoRA + Prompt",
    CALIBRATED_QUERY: "LoRA + Prompt + temperature",
    LORA: "LoRA",
    LORA + WITH_TEMPERATURE: "LoRA + temperature",
    PROBE: "probe",
    CALIBRATED_PROBE: "probe + temperature",
}
"""Names of the methods, in the order of every table and legend: baselines first."""

SPLIT_TITLES = {
    "test": "Test: new questions of the kinds seen in tuning",
    "test_fresh_entities": "Test, fresh entities: the thing asked about occurs in no other split",
    "heldout_families": "Held-out families: kinds of question never seen in tuning",
}
SPLIT_NAMES = {
    "test": "test",
    "test_fresh_entities": "test, fresh entities",
    "heldout_families": "held-out families",
}
STYLE_NAMES = {"oe": "open-ended", "choice": "multiple choice"}


def method_name(method: str) -> str:
    """Returns the name to print; a method unknown here keeps its own.

    >>> method_name("zero_shot_query")
    'zero-shot query'
    """
    return METHOD_NAMES.get(method, method)


def short_name(method: str) -> str:
    """Returns the name in at most 21 columns, for figures to fit beside it.

    >>> short_name("lora_prompt+temperature")
    'LoRA + Prompt + temp.'
    """
    base = untempered(method)
    return method_name(base) if base == method else f"{method_name(base)} + temp."


def untempered(method: str) -> str:
    """Returns the method without its temperature, which ranks answers in the same order.

    >>> untempered("probe+temperature")
    'probe'
    """
    return method.removesuffix(WITH_TEMPERATURE)


def split_title(split: str) -> str:
    """Returns a table's title in plain words."""
    return SPLIT_TITLES.get(split, split)


def split_name(split: str) -> str:
    """Returns the split as part of a sentence."""
    return SPLIT_NAMES.get(split, split)


def style_name(style: str) -> str:
    """Returns the prompt style in words."""
    return STYLE_NAMES.get(style, style)


def in_order(methods: Iterable[str]) -> list[str]:
    """Returns each method once in the order of the tables, unknown ones last by name.

    >>> in_order(["probe", "other", "zero_shot_query", "probe"])
    ['zero_shot_query', 'probe', 'other']
    """
    known = {method: place for place, method in enumerate(METHOD_NAMES)}
    return sorted(set(methods), key=lambda method: (known.get(method, len(known)), method))
