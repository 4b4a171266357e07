import pytest

from raycalib.errors import ConfigError
from raycalib.lm.engines.settings import EngineSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "tgi"}, "engine.name: 'tgi' is unknown; allowed: transformers, vllm, openai"),
        (
            {"name": "vllm", "base_url": "http://127.0.0.1:8000/v1"},
            "engine.base_url: 'http://127.0.0.1:8000/v1' is only for --engine openai, and this is vllm",
        ),
        ({"served_model": "m"}, "engine.served_model: 'm' is only for --engine openai, and this is transformers"),
        (
            {"name": "openai", "base_url": "127.0.0.1:8000"},
            "engine.base_url: '127.0.0.1:8000' is not allowed; an address such as http://127.0.0.1:8000/v1",
        ),
        ({"max_in_flight": 0}, "engine.max_in_flight: 0 is not allowed; at least 1"),
        ({"max_retries": -1}, "engine.max_retries: -1 is not allowed; at least 0"),
        ({"timeout_s": 0.0}, "engine.timeout_s: 0.0 is not allowed; above 0"),
        ({"gpu_memory_share": 1.5}, "engine.gpu_memory_share: 1.5 is not allowed; above 0, at most 1"),
    ],
)
def test_a_wrong_value_names_field_value_and_what_is_allowed(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        EngineSettings(**values)  # type: ignore[arg-type]
    assert str(raised.value) == message


@pytest.mark.parametrize("url", ["http://me:hidden@host/v1", "https://host/v1?api_key=hidden"])
def test_an_address_with_a_key_in_it_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as raised:
        EngineSettings(name="openai", base_url=url)
    assert "hidden" not in str(raised.value)


def test_the_identity_is_what_decides_the_answers() -> None:
    assert EngineSettings(max_retries=3).identity() == {"engine": "transformers"}
    assert EngineSettings(name="openai", base_url="http://h/v1", max_in_flight=2).identity() == {
        "engine": "openai",
        "base_url": "http://h/v1",
        "served_model": None,
    }
