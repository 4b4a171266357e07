"""The methods that give an answer a confidence, by name."""

from typing import Final

ZERO_SHOT_QUERY = "zero_shot_query"
ANSWER_LIKELIHOOD = "answer_likelihood"
OPTION_LIKELIHOOD = "option_likelihood"
FAMILY_RATE = "family_rate"
LORA_PROMPT: Final = "lora_prompt"
LORA: Final = "lora"
PROBE = "probe"
WITH_TEMPERATURE = "+temperature"

BASELINES = (ZERO_SHOT_QUERY, ANSWER_LIKELIHOOD, OPTION_LIKELIHOOD, FAMILY_RATE)
TRAINED = (LORA_PROMPT, LORA, PROBE)
"""Methods that are fitted; each also exists with a temperature."""

OF_CHOICE_ALONE = frozenset({OPTION_LIKELIHOOD})
"""Methods that need options, so that open-ended answers have no such confidence."""

TUNED: Final = (LORA_PROMPT, LORA)
"""Methods with an adapter of their own."""
