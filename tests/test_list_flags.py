"""Flags that take several values: given again and again, short or whole, by commas where names have none."""

import pytest

from raycalib.cli import pipeline_config
from raycalib.errors import ConfigError
from raycalib.list_flags import LIST_FLAGS, gather_lists


def test_a_flag_given_again_adds_to_its_values() -> None:
    config = pipeline_config(
        ["--eval", "mmlu", "arc:5", "--seed", "7", "--eval=test:9", "--evaluation-sets", "boolq"], "A job."
    )
    assert config.evaluation_sets == ("mmlu", "arc:5", "test:9", "boolq")
    assert config.seed == 7


def test_short_names_and_commas() -> None:
    config = pipeline_config(
        ["--model", "llama2:7b", "--style", "oe", "--methods", "answer_likelihood,probe", "--methods=family_rate"],
        "A job.",
    )
    assert config.models == ("llama2:7b",)
    assert config.styles == ("oe",)
    assert config.methods == ("answer_likelihood", "probe", "family_rate")


def test_what_is_given_may_have_commas_and_equals_signs() -> None:
    config = pipeline_config(
        ["--adapter", "mine=/a,b", "--adapter=/c", "--probe", "/p", "--probe.steps", "9"], "A job."
    )
    assert config.adapters == ("mine=/a,b", "/c")
    assert config.probes == ("/p",)
    assert config.probe.steps == 9


@pytest.mark.parametrize("flag", ["--eval", "--adapter", "--skip", "--methods"])
def test_a_flag_without_a_value_is_refused(flag: str) -> None:
    with pytest.raises(ConfigError, match=r": a value is missing; --help says which are allowed"):
        gather_lists([flag, "--seed", "1"], LIST_FLAGS)


def test_csv_is_short_for_an_export() -> None:
    assert pipeline_config(["--csv"], "A job.").export == "csv"
    assert pipeline_config(["--export", "jsonl"], "A job.").export == "jsonl"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--skip", "llama2:13b/oe"], "skip: 'llama2:13b/oe' is no combo of this run; allowed: llama2:7b/oe"),
        (["--skip", "llama2:7b", "mistral:7b"], "skip: .* leaves no combo; leave one in"),
        (["--labelled", "a.csv", "--answers", "b.csv"], "name one of --labelled and --answers"),
        (["--labelled", "a.csv"], "labelled: these are answers of one model, and models names 2"),
        (["--eval", "mml"], "eval: 'mml' is unknown"),
        (["--eval", "arc", "arc"], "eval: arc is named twice"),
        (["--at-once", "-1"], "at_once: -1 is not allowed; at least 1, or 0"),
        (["--query-header", "mmlu=yes"], "query_header"),
    ],
)
def test_values_that_are_not_allowed(arguments: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        pipeline_config(["--recipe", "demo", *arguments], "A job.")


def test_combos_that_are_skipped() -> None:
    config = pipeline_config(["--recipe", "demo", "--skip", "mistral:7b/oe", "--skip", "llama2:7b"], "A job.")
    assert config.skip == ("mistral:7b/oe", "llama2:7b")
