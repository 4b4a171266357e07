"""What helps where a judge's server refuses every request: the flag behind what it says."""

import re

LEAST = re.compile(r"(?:>=|at least|minimum (?:of|is)?)\s*(\d{1,6})", re.IGNORECASE)
NAMED = "set --judge.token-limit-name {}"


def remedy(status: int, message: str, location: str = "") -> str:
    """The flag or the place that helps, to be put behind the server's words; empty where they say it all.

    Args:
        status: of the response.
        message: the server's words.
        location: where a redirect leads.

    >>> remedy(400, "Unsupported parameter: 'max_tokens' … Use 'max_completion_tokens' instead.")
    'set --judge.token-limit-name max_completion_tokens'
    >>> remedy(400, "'temperature' does not support 0 with this model."), remedy(401, "no")
    ('set --judge.temperature None', 'check OPENAI_API_KEY')
    """
    if 300 <= status < 400:
        return f"it redirects{f' to {location}' if location else ''}: name the last address by --judge-base-url"
    if status in (401, 403, 407):
        return "check OPENAI_API_KEY"
    if status == 402:
        return "the account has nothing left at this server: top it up, or name another by --judge-base-url"
    if status in (404, 405, 410):
        return (
            "check --judge-model and --judge-base-url, to which /chat/completions is added: with most servers it ends "
            "in /v1"
        )
    return _of_parameter(message)


def _of_parameter(message: str) -> str:
    """What to set where a parameter is refused."""
    if "max_completion_tokens" in message:
        return NAMED.format("max_completion_tokens" if "max_tokens" in message else "max_tokens")
    if "temperature" in message:
        return "set --judge.temperature None"
    if re.search(r"max_(output_|completion_|new_)?tokens", message):
        least = LEAST.search(message)
        return f"set --judge.max-output-tokens {least[1] if least else 'to another number'}"
    return ""
