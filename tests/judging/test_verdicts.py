from hypothesis import given
from hypothesis import strategies as st
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
        ("No-one", "No-one"), ("yes?", "yes?"), ("Answer yes", "Answer"), ("Answer: eyes", "eyes"),
        ("Let me think. Yes", "Let"), ("Уes", "Уes"), ("1", "1"),
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


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        (" Yes</s>", 1), ("No<|im_end|>", 0), ("Yes.<|eot_id|>", 1), ("no<|end_of_text|>", 0),
        ("yes<|endoftext|>\n", 1),
        ("Yes<end_of_turn>", 1), ("No</s></s>", 0), ("Yes<｜end▁of▁sentence｜>", 1), ("yes[|endofturn|]", 1),
        ("<think>It is Rome.</think>\n\nYes", 1), ("<think>\n\n</think>\n\nNo.", 0), ("it is Rome</think>yes", 1),
        ("<think>no, not yes</think> yes<|im_end|>", 1), ("[THINK]Rome[/THINK]No", 0),
        ("<thinking>a</thinking>**No**", 0),
        ("<|channel|>analysis<|message|>Rome<|end|><|start|>assistant<|channel|>final<|message|>Yes<|return|>", 1),
        ("Answer: yes", 1), ("answer: No.", 0), ("**Answer:** Yes", 1), ("**Verdict**: no", 0),
        ("Final answer: yes", 1),
        ("Verdict: yes", 1), ("Judgment: No", 0), ("<answer>yes</answer>", 1), ("\\boxed{Yes}", 1),
        ("$\\boxed{\\text{no}}$", 0), ('{"verdict": "yes"}', 1), ('{"verdict": "No"}', 0), ('{"answer": "yes"}', 1),
        ('{"correct": true}', 1), ('{"is_correct": false, "reason": "yes, but"}', 0),
        ('```json\n{"verdict": "no"}\n```', 0),
        ('<think>x</think>```\n{"Verdict": "Yes."}\n```</s>', 1), ("```\nyes\n```", 1), ("Yes it is", 1),
        ("No (Rome)", 0),
        ("Yes because the answer is Rome", 1), ("No the answer is Rome", 0), ("No, yes would be wrong", 0),
        ("Yes\nVerdict: Yes", 1), ("Yes, no doubt", 1), ("Yes\n\nNo errors found.", 1), ("Yes\u2028because", 1),
        ('{"response": "yes"}', 1), ('{"verdict": "yes", "why": "no"}', 1),
        ('{"verdict": "no", "confidence": 1.0}', 0), ('{"correct": true, "score": 1}', 1),
        ('["yes"]', 1), ("Yes \U0001f44d", 1), ("No\n\nThe right answer is Rome. Yes would be wrong.", 0),
    ],
)  # fmt: skip
def test_what_surrounds_a_verdict_is_taken_off(reply: str, label: int) -> None:
    assert parse_verdict(reply) == (label, None)


@pytest.mark.parametrize(
    "reply",
    [
        "<think>\nThe question asks", "<think>yes", "<think>yes</think>", "<think>a</think>yes<think>b</think>no",
        "yes <think>no</think>", "Yes</s>No", "Yes<|im_end|>\n<|im_start|>assistant\nNo", "yes and no", "Yes and no.",
        "yes or no", "Yes/No", "yes no", "Yes, no", "No. Yes.", "Yes\nNo", "**Yes** and **No**", "No idea",
        "No answer",
        "no doubt", "no comment", "No way to tell", "Yes not", "I'm sorry, I can't help with that.",
        "The answer is yes",
        '{"verdict": "yes", "answer": "no"}', '{"verdict": "yes", "verdict": "no"}', '{"verdict": "maybe"}', "{}",
        '{"question": "q", "answer": "yes"}', '{"proposed_answer": "yes"}', '{"verdict": ["yes"]}', '{"verdict": 1}',
        '{"verdict": "yes"', '[{"verdict": "yes"}]', '["yes", "no"]', "Answer: not yes", "Answer:", "Question: yes",
        "Answer: yes and no", "yesterday</s>", "Not yes", "eyes", "</s>", "<answer>yes</answer><answer>no</answer>",
        "<|im_start|>yes", "My answer may be: yes",
        "Answer: No\nVerdict: Yes", "no\n\nFinal verdict: yes", "No. Final verdict: yes", "No\n**Verdict:** unclear",
        '"No" is what the student said. Yes.', '"No" are their words. Yes.', "Yes. No, wait", "Yes - no, wait",
        "Yes\nNo, it is Rome", 'no\n{"verdict": "yes"}', "No\n<verdict>yes</verdict>", "No so \\boxed{yes}",
        f"no\n{'It is Rome. ' * 100}\nFinal verdict: yes",
        "Yes if you ignore units", "Yes, if you ignore units", "Yes in part", "Yes, in part", "Yes (partially)",
        "Yes for the most part", "Yes as far as it goes", "No unless units are ignored",
        "No\u202fidea", "No\u00a0idea", "No\u2003idea", "No\u3000idea",
        '{"response": "yes", "score": 0}', '{"verdict": "yes", "score": 0}', '{"verdict": "no", "equal": true}',
        '{"output": "no", "label": "correct"}',
    ],
)  # fmt: skip
def test_nothing_doubtful_is_read(reply: str) -> None:
    grade = parse_verdict(reply)
    assert grade.query_label is None
    assert grade.unscored_reason


@given(st.text(), st.sampled_from(["yes", "no"]))
def test_words_before_a_verdict_are_never_read_over(before: str, word: str) -> None:
    """But for the one label, think block or mark that is taken off, which letters alone never spell."""
    letters = "".join(character for character in before if character.isalpha())
    assert parse_verdict(f"{letters} {word}").query_label in (None, *([1, 0] if letters.casefold() in "yesno" else []))


@given(st.text() | st.text("<>/|{}[]\"'`: thinkyesoANSWER\n"))
def test_no_reply_raises(reply: str) -> None:
    grade = parse_verdict(reply)
    assert (grade.query_label is None) == bool(grade.unscored_reason)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "unit",
    [
        " ",
        "\n",
        "*",
        "</s>",
        "<think>",
        "```",
        "and ",
        "{",
        '"',
        "\\boxed{",
        "final ",
        "</s> x",
        "\nmy ",
        "- ",
        "answer:",
    ],
)
def test_a_long_reply_takes_no_long_time(unit: str) -> None:
    for reply in (unit * 30_000, f"yes{unit * 30_000}b", f"a{unit * 30_000}yes", f"{unit * 30_000}no{unit * 30_000}"):
        parse_verdict(reply)
