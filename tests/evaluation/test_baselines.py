import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from raycalib.evaluation.baselines import (
    LEAST_ODDS,
    answer_log_odds,
    fit_task_rates,
    log_odds,
    odds_of_log,
    option_log_odds,
)


def row(task: str, query_label: int | None) -> dict[str, Any]:
    return {"task": task, "query_label": query_label}


@pytest.mark.parametrize(("probability", "expected"), [(0.75, math.log(3)), (0.25, -math.log(3)), (0.5, 0.0)])
def test_log_odds_written_out(probability: float, expected: float) -> None:
    assert log_odds(probability) == pytest.approx(expected, abs=1e-15)


def test_log_odds_are_finite_at_the_ends_and_exact_before_them() -> None:
    assert log_odds(1.0) == pytest.approx(744.44, abs=0.01)  # -log(5e-324)
    assert log_odds(0.0) == LEAST_ODDS < log_odds(5e-324) == pytest.approx(-744.44, abs=0.01)
    assert log_odds(1e-300) == pytest.approx(-300 * math.log(10), rel=1e-12)
    assert log_odds(1 - 1e-9) == pytest.approx(9 * math.log(10), rel=1e-6)


def test_what_is_very_sure_is_not_tied() -> None:
    logs = [-1e-4, -1e-6, -1e-7, -1e-9, -1e-12, -1e-15, -1e-17, -1e-30, -1e-300, -5e-324]
    odds = [odds_of_log(log_p) for log_p in logs]
    assert odds == sorted(set(odds))
    # log p = -x with a small x: p / (1 - p) is 1 / x
    assert odds[2:] == pytest.approx([-math.log(-log_p) for log_p in logs[2:]], abs=1e-6)
    assert odds_of_log(0.0) == odds_of_log(1e-9) == odds[-1]  # float32 sums may pass zero
    assert odds_of_log(-math.inf) == LEAST_ODDS < odds_of_log(-1e300) < odds_of_log(-1e4)


@given(st.lists(st.floats(-1e300, 0.0), min_size=2))
def test_log_odds_grow_with_the_likelihood(logs: list[float]) -> None:
    odds = [odds_of_log(log_p) for log_p in sorted(logs)]
    assert odds == sorted(odds)
    assert all(math.isfinite(each) for each in odds)


def test_answer_log_odds_are_those_of_the_product_over_tokens() -> None:
    # 0.5 · 0.25 = 1/8, so the odds are 1 : 7
    both = answer_log_odds({"log_likelihood": math.log(0.5) + math.log(0.25)})
    assert both == pytest.approx(math.log(1 / 7), rel=1e-12)
    assert answer_log_odds({"log_likelihood": None}) is None
    assert answer_log_odds({"log_likelihood": math.nan}) is None


def chosen(answer: str, *probabilities: float) -> dict[str, Any]:
    return {"answer": answer, "option_log_likelihoods": [math.log(p) for p in probabilities]}


@pytest.mark.parametrize("answer", ["b", "(b", "b.", "B)", " b"])
def test_option_log_odds_are_those_among_the_options_alone(answer: str) -> None:
    # Half of the probability is on other tokens: of what is left, b has 0.3 of 0.5, so the odds are 3 : 2.
    assert option_log_odds(chosen(answer, 0.15, 0.3, 0.05)) == pytest.approx(math.log(3 / 2), rel=1e-12)


@pytest.mark.parametrize("answer", ["", "d", "ab", "Lima", "the answer is b", "1", "-.-"])
def test_what_is_not_the_letter_of_an_option_has_none(answer: str) -> None:
    assert option_log_odds(chosen(answer, 0.15, 0.3, 0.05)) is None


def test_options_without_likelihoods_have_none_and_certain_ones_are_finite() -> None:
    assert option_log_odds({"answer": "a", "option_log_likelihoods": []}) is None
    assert option_log_odds({"answer": "a", "option_log_likelihoods": [-1.0]}) is None
    assert option_log_odds({"answer": "a", "option_log_likelihoods": [math.nan, -1.0]}) is None
    assert option_log_odds({"answer": "a", "option_log_likelihoods": [-1e-9, -900.0]}) == pytest.approx(900.0)
    assert option_log_odds({"answer": "a", "option_log_likelihoods": [-1.0, -math.inf]}) == odds_of_log(0.0)
    assert option_log_odds({"answer": "a", "option_log_likelihoods": [-math.inf, -1.0]}) == LEAST_ODDS


def test_very_unlikely_answers_keep_their_order() -> None:
    likely, unlikely = (answer_log_odds({"log_likelihood": total}) for total in (-15.0, -2000.0))
    assert likely is not None
    assert unlikely is not None
    assert unlikely < likely < 0


def test_task_rates_written_out() -> None:
    rows = [row("a", 1), row("a", 1), row("a", 0), row("b", 0), row("b", None), row("c", None)]
    rates = fit_task_rates(rows)
    assert rates.rate("a") == (2 + 1) / (3 + 2)
    assert rates.rate("b") == (0 + 1) / (1 + 2)
    assert rates.rate("c") == rates.rate("never seen") == (2 + 1) / (4 + 2)


def test_no_rate_is_certain() -> None:
    rates = fit_task_rates([row("all", 1)] * 50 + [row("none", 0)] * 50)
    assert (rates.rate("all"), rates.rate("none"), rates.rate("other")) == (51 / 52, 1 / 52, 0.5)


def test_without_training_answers_every_rate_is_a_half() -> None:
    assert fit_task_rates([]).rate("a") == 0.5
    assert fit_task_rates([row("a", None)]).rate("a") == 0.5
