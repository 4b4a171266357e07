"""The uncertainty query: the question put to a model whether a proposed answer is correct."""

QUERY_VERSION = "roman-choice-1"
QUERY_SUFFIX = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"
NO_LABEL = "i"
YES_LABEL = "ii"


def query_text(example_text: str, answer: str) -> str:
    r"""What a model reads before it says ``i`` (no) or ``ii`` (yes).

    Args:
        example_text: the example as the model read it, few-shot header included.
        answer: the proposed answer.

    >>> query_text("Question: 2 + 2?\nAnswer:", "4")
    'Question: 2 + 2?\nAnswer: 4\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:'
    """
    return f"{example_text} {answer}".strip() + QUERY_SUFFIX
