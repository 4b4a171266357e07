import pytest

from raycalib.judging.verdicts import parse_verdict


@pytest.mark.parametrize(
    "reply",
    [
        "yes", "Yes", "YES", "Yes.", "yes!", "Yes, it is.", "Yes,it is", "yes\nbecause", " \n yes", "yes it is",
        "**Yes**", "**Yes.**", "**Yes:** the same", "_yes_", "`yes`", '"Yes"', "“Yes”", "'yes'", "(yes)", "[yes]",
        "# Yes", "## **Yes**", "\u200byes", "\ufeffYes", "y\u200bes", "ｙｅｓ", "yes—the same", "Yes, not no",
        "*Yes*, so",
    ],
)  # fmt: skip
def test_yes(reply: str) -> None:
    assert parse_verdict(reply) == (1, None)


@pytest.mark.parametrize(
    "reply",
    ["no", "No.", "NO", "No, yes would be wrong", "**No**", "no\n", "\u2060No", "`No`.", "no: Rome", "No; it is"],
)
def test_no(reply: str) -> None:
    assert parse_verdict(reply) == (0, None)


@pytest.mark.parametrize(
    ("reply", "first"),
    [
        ("Not yes", "Not"), ("eyes", "eyes"), ("yesterday", "yesterday"), ("nope", "nope"), ("yep", "yep"),
        ("Y", "Y"), ("ye s", "ye"), ("The answer is Yes", "The"), ("yes/no", "yes/no"), ("yes-ish", "yes-ish"),
        ("No-one", "No-one"), ("yes?", "yes?"), ("Verdict: yes", "Verdict:"), ("{\"verdict\": \"yes\"}", 'verdict":'),
        ("<think>the same</think> yes", "<think>the"), ("Let me think. Yes", "Let"), ("Уes", "Уes"), ("1", "1"),
        ("yes_no", "yes_no"), ("yes'no", "yes'no"), ("nо", "nо"),
    ],
)  # fmt: skip
def test_another_first_word_is_unscored_with_that_word(reply: str, first: str) -> None:
    assert parse_verdict(reply) == (None, f"the judge's first word is {first!r}, neither yes nor no")


@pytest.mark.parametrize("reply", ["", "  \n", "\u200b", "\ufeff \u2060"])
def test_an_empty_reply_is_unscored(reply: str) -> None:
    assert parse_verdict(reply) == (None, "the judge's reply is empty")


@pytest.mark.parametrize("reply", ["**", "...", "()", "—", "* * *"])
def test_punctuation_alone_is_unscored(reply: str) -> None:
    grade = parse_verdict(reply)
    assert grade.query_label is None
    assert "neither yes nor no" in str(grade.unscored_reason)


def test_a_long_first_word_is_shown_in_part() -> None:
    assert len(str(parse_verdict("x" * 10_000).unscored_reason)) < 100
