from raycalib.evaluation.methods import WITH_PLATT, WITH_TEMPERATURE
from raycalib.reports.wording import (
    METHOD_NAMES,
    in_order,
    method_name,
    short_name,
    shortened,
    split_name,
    split_title,
    style_name,
)


def test_unknown_names_stay_as_they_are() -> None:
    words = [name("new") for name in (method_name, short_name, split_name, style_name)]
    assert words == ["new"] * 4
    assert split_title("new") == "Evaluation set: new"


def test_names_from_data_steer_nothing() -> None:
    for name in (method_name, short_name, split_name, split_title):
        assert r"a\x1b[2J b\u202e" in name("a\x1b[2J b\u202e")


def test_every_method_has_a_short_name_of_21_columns_also_with_a_temperature() -> None:
    names = [short_name(method + end) for method in METHOD_NAMES for end in ("", WITH_TEMPERATURE, WITH_PLATT)]
    assert max(map(len, names)) == 21
    assert len(set(names)) == 24


def test_given_methods_keep_their_names_and_say_what_they_are() -> None:
    assert method_name("lora_prompt (from mistral:7b choice)") == "LoRA + Prompt (from mistral:7b choice)"
    assert method_name("adapter s3://b/a+given temperature") == "adapter s3://b/a + given temperature"
    assert method_name("probe_of_mine") == "probe_of_mine"
    assert short_name("probe mine+temperature") == "probe mine + temp."
    assert shortened("x" * 100 + "end", 11) == "xxxxx…xxend"


def test_given_methods_come_last_and_temperatures_after_their_methods() -> None:
    ordered = [
        "family_rate", "family_rate+temperature", "lora_prompt", "lora_prompt+temperature",
        "lora_prompt+given temperature", "probe", "adapter a", "adapter a+temperature", "adapter a+given temperature",
        "adapter b", "lora_prompt (from m oe)+temperature",
    ]  # fmt: skip
    assert in_order(reversed(ordered)) == ordered


def test_baselines_come_first() -> None:
    first = ["zero_shot_query", "answer_likelihood", "option_likelihood", "family_rate"]
    assert in_order(reversed(METHOD_NAMES))[:4] == first


def test_styles_in_words() -> None:
    assert (style_name("oe"), style_name("choice")) == ("open-ended", "multiple choice")
