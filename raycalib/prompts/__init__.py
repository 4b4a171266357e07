"""What models read: examples, the uncertainty query, sanitized outputs. Versioned text, no model."""

from raycalib.prompts.example import TARGET_PROMPT, Example, choice_context, open_ended_context, with_choices
from raycalib.prompts.query import NO_LABEL, QUERY_SUFFIX, QUERY_VERSION, YES_LABEL, query_text
from raycalib.prompts.sanitize import sanitize

__all__ = [
    "NO_LABEL",
    "QUERY_SUFFIX",
    "QUERY_VERSION",
    "TARGET_PROMPT",
    "YES_LABEL",
    "Example",
    "choice_context",
    "open_ended_context",
    "query_text",
    "sanitize",
    "with_choices",
]
