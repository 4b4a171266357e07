import pytest

from raycalib.prompts import sanitize


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("Paris", "Paris"),
        (" Paris\n", "Paris"),
        ("\n\nParis\nFrance", "Paris"),
        (" \nParis", "Paris"),
        ("Paris\n\nQuestion: Who?", "Paris"),
        ("Paris  \nFrance", "Paris"),
        ("The answer is:\nParis", "The answer is:Paris"),
        ("The answer is:\n\nParis", "The answer is:Paris"),
        ("The answer is: \nParis", "The answer is:"),
        ("a:\nb:\nc", "a:b:c"),
        ("a:\nb\nc:\nd", "a:b"),
        ("a:", "a:"),
        ("New York City, NY", "New York City, NY"),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_table(output: str, answer: str) -> None:
    assert sanitize(output) == answer


@pytest.mark.parametrize("output", ["\n\nParis\nFrance", "a:\nb:\nc", " x  y \n", "The answer is:\n\nParis"])
def test_an_answer_is_its_own_answer(output: str) -> None:
    assert sanitize(sanitize(output)) == sanitize(output)
