import json
import math

import pytest

from raycalib.judging.budget import Budget
from raycalib.judging.usage import Usage, read_usage

NO_COUNTS = [
    "-1", "0", "NaN", "Infinity", "-Infinity", '"50"', "null", "true", "1e400", "2.5", "[5]", "{}",
    "1" + "0" * 400, "1e300",
]  # fmt: skip


@pytest.mark.parametrize("count", NO_COUNTS)
def test_what_can_be_no_count_is_not_known(count: str) -> None:
    found = json.loads(f'{{"prompt_tokens": {count}, "completion_tokens": 3}}')
    assert read_usage(found) == Usage(tokens_in=None, tokens_out=3)


@pytest.mark.parametrize("found", [None, [], "50", 7, {}, {"prompt_tokens": -5}])
def test_without_counts_the_worst_case_is_taken(found: object) -> None:
    assert read_usage(found).at_worst(90.0, 8.0) == (90.0, 8.0)


def test_each_count_stands_for_itself() -> None:
    assert read_usage({"prompt_tokens": 50.0}).at_worst(90.0, 8.0) == (50, 8.0)
    assert read_usage({"prompt_tokens": 50, "completion_tokens": 3}).at_worst(90.0, 8.0) == (50, 3)


@pytest.mark.parametrize(
    ("counts", "tokens_out"),
    [
        ((100, 1, 900), 800),  # what was thought is counted in the total alone
        ((100, 800, 900), 800),
        ((100, 800, 100), 800),
        ((100, 7, "900"), 7),
        ((100, 7, 10**9), 7),
        ((None, 7, 900), 7),
        ((100, None, 900), 800),
        ((100, None, 100), None),
    ],
)
def test_tokens_that_only_the_total_counts_are_paid_for(counts: tuple, tokens_out: int | None) -> None:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    assert read_usage(dict(zip(names, counts, strict=True))).tokens_out == tokens_out


@pytest.mark.parametrize("cost", [-5.0, math.nan, math.inf, -math.inf])
def test_a_cost_that_can_be_none_is_booked_at_its_worst(cost: float) -> None:
    budget = Budget(10.0)
    budget.reserve(2.0)
    budget.settle(2.0, cost)
    assert (budget.spent_usd, budget.reserved_usd) == (2.0, 0.0)
