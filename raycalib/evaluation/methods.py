"""The methods that give an answer a confidence, by name."""

ZERO_SHOT_QUERY = "zero_shot_query"
ANSWER_LIKELIHOOD = "answer_likelihood"
FAMILY_RATE = "family_rate"
LORA_PROMPT = "lora_prompt"
PROBE = "probe"
WITH_TEMPERATURE = "+temperature"

BASELINES = (ZERO_SHOT_QUERY, ANSWER_LIKELIHOOD, FAMILY_RATE)
TRAINED = (LORA_PROMPT, PROBE)
"""Methods that are fitted; each also exists with a temperature."""
