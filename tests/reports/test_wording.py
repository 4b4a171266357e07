from raycalib.reports.wording import (
    METHOD_NAMES,
    in_order,
    method_name,
    split_name,
    split_title,
    style_name,
    untempered,
)


def test_unknown_names_stay_as_they_are() -> None:
    words = [name("new") for name in (method_name, split_name, split_title, style_name, untempered)]
    assert words == ["new"] * 5


def test_baselines_come_first() -> None:
    first = ["zero_shot_query", "answer_likelihood", "option_likelihood", "family_rate"]
    assert in_order(reversed(METHOD_NAMES))[:4] == first


def test_styles_in_words() -> None:
    assert (style_name("oe"), style_name("choice")) == ("open-ended", "multiple choice")
