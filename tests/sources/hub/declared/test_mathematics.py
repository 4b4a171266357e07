from typing import Any

import pytest

from raycalib.errors import ConfigError
from raycalib.sources.hub import Item, Refusal, convert_row, few_shot_header, hub_source, read_split, render
from raycalib.sources.hub.declared.mathematics import lettered_options, split_at_commas
from tests.sources.hub.conftest import SEED, Check

GSM8K_ROWS: list[dict[str, Any]] = [
    {"question": "3 nets hold 4 balls each. How many balls?", "answer": "3*4=<<3*4=12>>12\n#### 12"},
    {"question": "A rope of 9 m loses 2 m. How long is it?", "answer": "9-2=7\n#### 7"},
    {"question": "A third of 27?", "answer": "#### 9"},
]
MATH_QA_ROWS: list[dict[str, Any]] = [
    {"Problem": "half of 12 ?", "options": "a ) 5 , b ) 6 , c ) 8 , d ) 9 , e ) none", "correct": "b"},
    {"Problem": "rent of a year ?", "options": "a ) rs . 1,200 , b ) rs . 2,400 , c ) none", "correct": "b"},
    {"Problem": "g ( 3 ) ?", "options": "a ) g ( 1 ) , b ) g ( 2 ) , c ) 7 ( about )", "correct": "c"},
]


def options(text: str) -> tuple[str, ...]:
    return lettered_options({"options": text})


def test_gsm8k_is_open_ended_and_for_evaluation(check_source: Check) -> None:
    check_source(
        "gsm8k",
        GSM8K_ROWS,
        oe="Question: 3 nets hold 4 balls each. How many balls?\nAnswer:",
        oe_targets=["12", "7", "9"],
    )
    source = hub_source("gsm8k")
    assert source.evaluation_only
    assert (source.shots_in("train"), source.shots_in("test")) == (0, 8)


def test_gsm8k_keeps_the_whole_solution_beside_the_final_answer() -> None:
    source = hub_source("gsm8k")
    (item, *_) = read_split(source, GSM8K_ROWS, seed=SEED).items
    assert item.solution == "3*4=<<3*4=12>>12\n#### 12"
    header = few_shot_header(source, item, "oe", pool=[item], k=1, seed=SEED)
    assert header == ""  # its own question is no example
    (paper, *_) = read_split(source, GSM8K_ROWS, seed=SEED, paper_exact=True).items
    assert (render(source, paper, "oe").target, paper.solution) == ("3*4=<<3*4=12>>12\n#### 12", "")


def test_a_gsm8k_row_without_a_final_answer_is_refused() -> None:
    refused = convert_row(hub_source("gsm8k"), {"question": "1 + 1?", "answer": "It is 2."}, 0, seed=SEED)
    assert isinstance(refused, Refusal)
    assert refused.reason == "'answer' does not end in a line with '####' and the final answer"


def test_gsm8k_has_no_choice_prompts() -> None:
    source = hub_source("gsm8k")
    (item, *_) = read_split(source, GSM8K_ROWS, seed=SEED).items
    with pytest.raises(ConfigError, match="source gsm8k: it has no 'choice' prompts; allowed: oe"):
        render(source, item, "choice")


def test_math_qa(check_source: Check) -> None:
    check_source(
        "math_qa",
        MATH_QA_ROWS,
        choice="Problem:\nhalf of 12 ?\n\nChoices:\n  (a): 5\n  (b): 6\n  (c): 8\n  (d): 9\n  (e): none\nAnswer:",
        choice_targets="bbc",
        oe="Provide your best answer for the following math problem.\nProblem: half of 12 ?\nAnswer:",
        oe_targets=["6", "rs . 2,400", "7 ( about )"],
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a ) 1 , b ) 2", ("1", "2")),
        ("a)1,b)2", ("1", "2")),
        ("a ) 1,500 , b ) 2,500", ("1,500", "2,500")),
        ("a ) ( 2 , 3 ) , b ) ( 4 , 5 )", ("( 2 , 3 )", "( 4 , 5 )")),
        ("a ) 1 , b ) 2 , c ) 3 , d ) 4 , e ) 5 , f ) 6", ("1", "2", "3", "4", "5", "6")),
        ("a )  , b ) 2", ("", "2")),
        ("a ) ( 1 , x ) , b ) f ( 2 , y )", ("( 1 , x )", "f ( 2 , y )")),
        ("a ) 1 , 2 ) , b ) ( 3 , 4", ("1 , 2 )", "( 3 , 4")),
    ],
)
def test_options_end_where_the_next_letter_follows_a_comma(text: str, expected: tuple[str, ...]) -> None:
    assert options(text) == expected


@pytest.mark.parametrize("text", ["", "1 , 2 , 3", "x , a ) 1 , b ) 2"])
def test_options_that_do_not_begin_with_a_are_refused(text: str) -> None:
    found = convert_row(hub_source("math_qa"), {**MATH_QA_ROWS[0], "options": text}, 0, seed=SEED)
    assert found == Refusal(0, "'options' does not begin with 'a )'", "options")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a ) 1 , b ) 2 , d ) 3", "'options' has 'd )' inside option (b): its letters are not in turn"),
        ("a)1,c)2,b)3", "'options' has 'c )' inside option (a): its letters are not in turn"),
        ("a ) 1 , b ) ( 2 ) , e ) 3 , f ) 4", "'options' has 'e )' inside option (b): its letters are not in turn"),
    ],
)
def test_a_letter_left_out_is_refused(text: str, reason: str) -> None:
    found = convert_row(hub_source("math_qa"), {**MATH_QA_ROWS[0], "options": text}, 0, seed=SEED)
    assert found == Refusal(0, reason, "options")


def test_the_paper_cuts_at_every_comma_and_empties_what_ends_in_a_bracket() -> None:
    assert split_at_commas(MATH_QA_ROWS[1]) == ("rs . 1", "200", "rs . 2", "400", "none")
    assert split_at_commas(MATH_QA_ROWS[2]) == ("", "", "")


def test_paper_exact_takes_over_the_shifted_options() -> None:
    source = hub_source("math_qa")
    shifted = convert_row(source, MATH_QA_ROWS[1], 0, seed=SEED, paper_exact=True)
    assert isinstance(shifted, Item)
    assert render(source, shifted, "oe").target == "200"
    repeated = convert_row(source, MATH_QA_ROWS[2], 0, seed=SEED, paper_exact=True)
    assert repeated == Refusal(0, "two options are equal", "options", expected=True)
