"""Prices and speeds of GPUs: the packaged table, and tables of one's own."""

import json
from pathlib import Path

import pytest

from raycalib.errors import ConfigError
from raycalib.plans.gpu_prices import gpu_price


def test_the_packaged_prices_have_a_source_and_a_day() -> None:
    for name in ("L40S", "A100", "H100", "H200", "B200"):
        price = gpu_price(name, None)
        assert price.source
        assert price.as_of.startswith("2026-")
        assert 0 < price.utilisation < 1
        assert 500 < price.gb_per_second < 10_000
        assert 40 <= price.memory_gib <= 180
    assert gpu_price("H100", None).hours(989e12 * 0.35 * 7200) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "entry",
    [
        {"dollars_per_hour": -1, "tflops": 1, "utilisation": 1, "gb_per_second": 1, "memory_gib": 1},
        {"dollars_per_hour": 1, "tflops": 0, "utilisation": 1, "gb_per_second": 1, "memory_gib": 1},
        {"dollars_per_hour": 1, "tflops": 1, "utilisation": 1.5, "gb_per_second": 1, "memory_gib": 1},
        {"dollars_per_hour": 1, "tflops": 1, "utilisation": float("nan"), "gb_per_second": 1, "memory_gib": 1},
        {"dollars_per_hour": "1", "tflops": 1, "utilisation": 1, "gb_per_second": 1, "memory_gib": 1},
        {"dollars_per_hour": 1, "tflops": 1},
        {"dollars_per_hour": 1, "tflops": 1, "utilisation": 1},
        {"dollars_per_hour": 1, "tflops": 1, "utilisation": 1, "gb_per_second": 0, "memory_gib": 1},
        [],
    ],
)
def test_a_table_that_is_none_is_one_clear_line(tmp_path: Path, entry: object) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"gpus": {"X": entry}}))
    with pytest.raises(ConfigError, match=r"planning.prices: .*p.json cannot be used .* it has the form"):
        gpu_price("X", str(path))
    with pytest.raises(ConfigError, match=r"planning.prices: .*nowhere cannot be used"):
        gpu_price("X", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"planning.gpu: 'X' is not in the table of raycalib, which has L40S, A100,"):
        gpu_price("X", None)
