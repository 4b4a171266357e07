import json
from pathlib import Path

import pytest

from raycalib.errors import ConfigError
from raycalib.judging import judge_prompt
from raycalib.judging.estimate import estimate
from raycalib.judging.prices import Price, find_price, price_for_limit
from raycalib.judging.settings import JudgeSettings


def test_the_packages_table_names_day_and_place_of_each_price() -> None:
    price = find_price("gpt-4o-mini", None)
    assert price is not None
    assert price.cost_usd(1_000_000, 500_000) == pytest.approx(price.input + price.output / 2)
    assert price.as_of
    assert price.source


def test_an_unknown_price_is_an_error_only_where_a_limit_depends_on_it() -> None:
    assert find_price("a-model-of-mine", None) is None
    with pytest.raises(ConfigError, match=r"max_cost_usd: the price of 'a-model-of-mine' is not known; name a file"):
        price_for_limit("a-model-of-mine", None)


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"models": {"mine": {"input": 0, "output": 3}}}))
    assert price_for_limit("mine", str(path)) == Price(input=0, output=3)
    assert find_price("gpt-4o-mini", str(path)) is None


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"models": []}', '{"models": {"m": {"input": 1}}}',
     '{"models": {"m": {"input": "a", "output": 1}}}',
     '{"models": {"m": {"input": -1, "output": 1}}}', '{"models": {"m": {"input": NaN, "output": 1}}}',
     '{"models": {"m": 3}}'],
)  # fmt: skip
def test_a_broken_table_is_one_clear_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"price_table: .*prices.json cannot be used"):
        find_price("m", str(path))
    with pytest.raises(ConfigError, match="price_table"):
        find_price("m", str(tmp_path / "absent.json"))


def test_an_estimate_counts_what_is_not_cached() -> None:
    messages = judge_prompt("strict").messages("2 + 2?", "4", "five")
    n_bytes = sum(len(message["content"]) for message in messages)
    settings = JudgeSettings(model="m", requests_per_minute=62, concurrency=100)
    found = estimate(20, [(messages, False)] * 6 + [(messages, True)] * 4, settings, Price(input=1e6, output=1e6), 1)
    assert (found.rows, found.to_ask, found.cached) == (20, 10, 4)
    assert found.tokens_in == round(6 * n_bytes / 4) + 6 * 2 * 4
    assert found.tokens_out == 12
    assert found.cost_usd == pytest.approx(found.tokens_in + 12)
    assert found.hours == pytest.approx(6 / 60 / 60)  # 62 a minute, of which 60 can be used
    assert found.line("m").startswith("20 rows, 10 to be judged by m, 4 of them known: about ")
    assert "unknown price" in estimate(1, [], settings, None, 1).line("m")
