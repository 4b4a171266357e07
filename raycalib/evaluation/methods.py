"""The methods that give an answer a confidence, by name."""

from typing import Final

ZERO_SHOT_QUERY = "zero_shot_query"
ANSWER_LIKELIHOOD = "answer_likelihood"
OPTION_LIKELIHOOD = "option_likelihood"
FAMILY_RATE = "family_rate"
LORA_PROMPT: Final = "lora_prompt"
LORA: Final = "lora"
PROBE = "probe"
COMBINED = "combined"
WITH_TEMPERATURE = "+temperature"
"""After a method's name: its logits are divided by a temperature fitted on ``val_calibrate``."""

WITH_GIVEN_TEMPERATURE = "+given temperature"
"""After a method's name: its logits are divided by a temperature that came from outside."""

WITH_PLATT = "+platt"
"""After a method's name: its logits are divided, and shifted, by Platt scaling fitted on ``val_calibrate``."""

BASELINES = (ZERO_SHOT_QUERY, ANSWER_LIKELIHOOD, OPTION_LIKELIHOOD, FAMILY_RATE)
TRAINED = (LORA_PROMPT, LORA, PROBE)
"""Methods that are fitted on training rows; what they say is what ``combined`` is made of."""

OF_CHOICE_ALONE = frozenset({OPTION_LIKELIHOOD})
"""Methods that need options, so that open-ended answers have no such confidence."""

TUNED: Final = (LORA_PROMPT, LORA)
"""Methods with an adapter of their own."""

FROM_TRAINING = frozenset({FAMILY_RATE, PROBE})
"""Methods that are fitted on the stored numbers of training rows."""


def temperature_of(method: str) -> str:
    """Returns which temperature, or Platt scaling, the end of a method's name says it has; empty for none.

    >>> temperature_of("family_rate+temperature"), temperature_of("probe mine")
    ('+temperature', '')
    """
    return next((end for end in (WITH_TEMPERATURE, WITH_GIVEN_TEMPERATURE, WITH_PLATT) if method.endswith(end)), "")


def untempered(method: str) -> str:
    """Returns the method without its temperature, which ranks answers in the same order.

    >>> untempered("probe+temperature"), untempered("adapter mine+given temperature")
    ('probe', 'adapter mine')
    """
    return method.removesuffix(temperature_of(method))
