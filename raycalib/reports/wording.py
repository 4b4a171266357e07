"""What methods, evaluation sets and prompt styles are called in tables, plots and remarks."""

from collections.abc import Iterable
from typing import Final

from raycalib.evaluation.methods import (
    ANSWER_LIKELIHOOD,
    COMBINED,
    FAMILY_RATE,
    LORA,
    LORA_PROMPT,
    OPTION_LIKELIHOOD,
    PROBE,
    WITH_GIVEN_TEMPERATURE,
    WITH_PLATT,
    WITH_TEMPERATURE,
    ZERO_SHOT_QUERY,
    temperature_of,
    untempered,
)
from raycalib.printable import printable_line

TUNED_QUERY = LORA_PROMPT
CALIBRATED_QUERY = LORA_PROMPT + WITH_TEMPERATURE
CALIBRATED_PROBE = PROBE + WITH_TEMPERATURE

METHOD_NAMES = {
    ZERO_SHOT_QUERY: "zero-shot query",
    ANSWER_LIKELIHOOD: "answer likelihood",
    OPTION_LIKELIHOOD: "option likelihood",
    FAMILY_RATE: "family rate",
    LORA_PROMPT: "LoRA + Prompt",
    LORA: "LoRA",
    PROBE: "probe",
    COMBINED: "combined",
}
"""Names of the methods without a temperature, in the order of every table and legend: baselines first.

A method with a temperature stands directly after its own without: what the temperature did is read down two lines.
"""

BRIEF_NAMES = {ZERO_SHOT_QUERY: "zero-shot", ANSWER_LIKELIHOOD: "answer likel.", OPTION_LIKELIHOOD: "option likel."}
"""Where the name and what is said of a temperature do not fit into a table's first column."""

TEMPERATURES: Final = {
    "": "",
    WITH_TEMPERATURE: " + temperature",
    WITH_PLATT: " + Platt",
    WITH_GIVEN_TEMPERATURE: " + given temperature",
}

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
LONGEST = 40


def method_name(method: str) -> str:
    """Returns the name to print; of a given method, unknown here, its own.

    >>> method_name("zero_shot_query"), method_name("lora_prompt (from mistral:7b choice)+temperature")
    ('zero-shot query', 'LoRA + Prompt (from mistral:7b choice) + temperature')
    """
    return _base_name(untempered(method)) + TEMPERATURES[temperature_of(method)]


def _base_name(base: str) -> str:
    """The name without a temperature: a given method may begin with one that is known."""
    kind, space, rest = base.partition(" ")
    return METHOD_NAMES.get(kind, printable_line(kind)) + space + printable_line(rest)


def short_name(method: str) -> str:
    """Returns the name for a narrow column: of known methods in at most 21 columns, for figures to fit beside it.

    >>> short_name("lora_prompt+temperature"), short_name("answer_likelihood+temperature")
    ('LoRA + Prompt + temp.', 'answer likel. + temp.')
    """
    base = untempered(method)
    if base == method:
        return shortened(method_name(base))
    end = TEMPERATURES[temperature_of(method)].replace("temperature", "temp.")
    return shortened(BRIEF_NAMES.get(base) or _base_name(base)) + end


def shortened(name: str, longest: int = LONGEST) -> str:
    """Returns a name without its middle where it is longer than that: both ends of names tell them apart.

    >>> shortened("adapter /a/very/long/way/to/lora", 20)
    'adapter /…ay/to/lora'
    """
    left = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:left]}…{name[len(name) - (longest - 1 - left) :]}"


def split_title(split: str) -> str:
    """Returns the title of an evaluation set's table.

    >>> split_title("mmlu")
    'Evaluation set: mmlu'
    """
    if not split:
        return "No evaluation set has figures"
    return SPLIT_TITLES.get(split) or f"Evaluation set: {printable_line(split)}"


def split_name(split: str) -> str:
    """Returns the evaluation set as part of a sentence."""
    return SPLIT_NAMES.get(split) or printable_line(split)


def style_name(style: str) -> str:
    """Returns the prompt style in words."""
    return STYLE_NAMES.get(style, style)


def in_order(methods: Iterable[str]) -> list[str]:
    """Returns each method once in the order of the tables: given ones last by name, temperatures after their methods.

    >>> in_order(["probe+temperature", "other", "zero_shot_query", "probe"])
    ['zero_shot_query', 'probe', 'probe+temperature', 'other']
    """
    known = {method: place for place, method in enumerate(METHOD_NAMES)}
    ends = list(TEMPERATURES)

    def place(method: str) -> tuple[int, str, int]:
        base = untempered(method)
        return known.get(base, len(known)), base, ends.index(temperature_of(method))

    return sorted(set(methods), key=place)
