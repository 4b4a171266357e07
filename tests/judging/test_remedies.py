import pytest

from raycalib.judging.remedies import remedy


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (400, "Unsupported parameter: 'max_tokens' … Use 'max_completion_tokens' instead.", "max_completion_tokens"),
        (400, "Unrecognized request argument supplied: max_completion_tokens", "token-limit-name max_tokens"),
        (400, "Unsupported value: 'temperature' does not support 0 with this model.", "--judge.temperature None"),
        (400, "Invalid 'max_output_tokens': … Expected a value >= 16, but got 8", "--judge.max-output-tokens 16"),
        (401, "no", "OPENAI_API_KEY"),
        (402, "Insufficient Balance", "nothing left"),
        (404, "Not Found", "ends in /v1"),
        (308, "", "to http://h/v1: name the last address by --judge-base-url"),
    ],
)
def test_the_flag_that_helps_is_named(status: int, message: str, words: str) -> None:
    assert words in remedy(status, message, "http://h/v1")


def test_nothing_is_guessed() -> None:
    assert remedy(400, "bad request") == ""
