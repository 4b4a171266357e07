import math
from typing import Any

import pytest

from raycalib.evaluation.baselines import PROBABILITY_FLOOR, answer_log_odds, fit_task_rates, log_odds


def row(task: str, query_label: int | None) -> dict[str, Any]:
    return {"task": task, "query_label": query_label}


@pytest.mark.parametrize(("probability", "expected"), [(0.75, math.log(3)), (0.25, -math.log(3)), (0.5, 0.0)])
def test_log_odds_written_out(probability: float, expected: float) -> None:
    assert log_odds(probability) == pytest.approx(expected, abs=1e-15)


def test_log_odds_are_finite_at_the_ends() -> None:
    end = math.log((1 - PROBABILITY_FLOOR) / PROBABILITY_FLOOR)
    assert log_odds(1.0) == pytest.approx(end, rel=1e-9)
    assert log_odds(0.0) == pytest.approx(-end, rel=1e-9)
    assert log_odds(1e-300) == log_odds(0.0)


def test_answer_log_odds_are_those_of_the_product_over_tokens() -> None:
    # 0.5 · 0.25 = 1/8, so the odds are 1 : 7
    both = answer_log_odds({"log_likelihood": math.log(0.5) + math.log(0.25)})
    assert both == pytest.approx(math.log(1 / 7), rel=1e-12)
    certain = answer_log_odds({"log_likelihood": 1e-9})  # float32 sums may pass zero
    assert certain == pytest.approx(log_odds(1.0), rel=1e-9)
    assert answer_log_odds({"log_likelihood": None}) is None


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
