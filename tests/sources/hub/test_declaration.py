import re
from typing import Any

import pytest

from raycalib.errors import ConfigError
from raycalib.sources.hub import (
    HUB_SOURCES,
    HubSource,
    Item,
    OpenEndedText,
    StyleText,
    convert_row,
    hub_source,
    mixture_sources,
    render,
)
from raycalib.sources.hub.columns import in_columns, number

UNPINNED = {"math_qa", "story_cloze", "wsc"}
VALID: dict[str, Any] = {
    "name": "rivers",
    "hub_id": "someone/rivers",
    "splits": {"test": "test"},
    "shots_from": "test",
    "choice": StyleText(context="Question:\n{question}", intro="The following are questions."),
    "options": in_columns("a", "b"),
    "answer": number("label"),
}


def test_a_new_source_is_one_declaration() -> None:
    source = HubSource(**VALID)
    item = convert_row(source, {"question": "Longest?", "a": "Nile", "b": "Cam", "label": 0}, 0, seed=1)
    assert isinstance(item, Item)
    assert render(source, item, "choice").answered("a") == (
        "Question:\nLongest?\n\nChoices:\n  (a): Nile\n  (b): Cam\nAnswer: a"
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"choice": None}, "has the words of no style; give choice, oe or both"),
        ({"splits": {}}, "splits: none; allowed: train, validation, test"),
        ({"splits": {"dev": "dev"}}, "splits: dev; allowed: train, validation, test"),
        ({"answer": None}, "options and answer belong together; give both or neither"),
        ({"options": None, "answer": None}, "the choice style and shuffled options need options"),
        ({"group_by": "river"}, "group_by: river; its texts are question"),
        ({"not_in_mixture": ("oe",)}, "not_in_mixture: oe; it has choice"),
        ({"default_shots": -1}, "default_shots: -1; at least 0"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"source rivers: {problem}")):
        HubSource(**{**VALID, **change})


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ConfigError, match=r"splits: none.*default_shots: -2"):
        HubSource(**{**VALID, "splits": {}, "default_shots": -2})


def test_the_mixture_takes_the_styles_that_the_source_does_not_leave_out() -> None:
    assert HubSource(**VALID).mixture_styles == ("choice",)
    both = {**VALID, "oe": OpenEndedText(context="Question: {question}", intro="The following are questions.")}
    assert HubSource(**both).mixture_styles == ("oe", "choice")
    assert HubSource(**both, not_in_mixture=("oe",)).mixture_styles == ("choice",)
    assert HubSource(**both, evaluation_only=True).mixture_styles == ()


def test_the_texts_asked_for_are_read_from_the_templates() -> None:
    assert hub_source("cosmos_qa").text_fields == ("context", "question")
    assert hub_source("gsm8k").text_fields == ("answer", "question")
    assert hub_source("sciq").text_fields == ("question", "support_line", "support_section")


@pytest.mark.parametrize("source", HUB_SOURCES.values(), ids=list(HUB_SOURCES))
def test_hub_ids_have_an_owner_and_revisions_are_full_commits(source: HubSource) -> None:
    assert re.fullmatch(r"[\w-]+/[\w-]+", source.hub_id)
    pinned = source.revision is not None and re.fullmatch("[0-9a-f]{40}", source.revision)
    assert bool(pinned) == (source.name not in UNPINNED)


def test_every_source_of_the_paper_is_there() -> None:
    names = (
        "anli_r1 anli_r2 anli_r3 arc arc_challenge boolq cb commonsense_qa copa cosmos_qa gsm8k hellaswag math_qa "
        "multirc obqa piqa sciq siqa snli story_cloze trec truthful_qa winogrande wsc"
    )
    plain = [name for name in HUB_SOURCES if ":" not in name]
    assert " ".join(plain) == names
    assert len(HUB_SOURCES) == len(plain) + 57 + 14


def test_the_mixture_leaves_out_what_only_evaluates() -> None:
    choice = [source.name for source in mixture_sources("choice")]
    assert choice == sorted(choice)
    assert len(choice) == 23
    assert set(choice) - {source.name for source in mixture_sources("oe")} == {"hellaswag"}
    families = {name.partition(":")[0] for name, source in HUB_SOURCES.items() if source.evaluation_only}
    assert families == {"gsm8k", "mmlu", "mmlu_pro"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("snily", r"did you mean snli"),
        ("mmlu:high_school_biolgy", r"did you mean mmlu:high_school_biology"),
        ("§", r"known: anli_r1, .*mmlu:…, mmlu_pro:…"),
    ],
)
def test_an_unknown_name_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"source: '{name}' is unknown; {hint}"):
        hub_source(name)
