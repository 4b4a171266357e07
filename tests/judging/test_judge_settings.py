from dataclasses import asdict
import json

import pytest

from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError
from raycalib.judging.settings import JudgeSettings


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("engine", "grpc", "judge.engine: 'grpc' is unknown; allowed: openai, transformers"),
        ("prompt", "kind", "judge.prompt: 'kind' is unknown; allowed: paper, strict"),
        (
            "token_limit_name",
            "n",
            "judge.token_limit_name: 'n' is unknown; allowed: max_tokens, max_completion_tokens",
        ),
        ("concurrency", 0, "judge.concurrency: 0 is not allowed; at least 1"),
        ("requests_per_minute", -1, "judge.requests_per_minute: -1 is not allowed; at least 0"),
        ("max_cost_usd", 0.0, "judge.max_cost_usd: 0.0 is not allowed; above 0"),
        ("timeout_s", float("nan"), "judge.timeout_s: nan is not allowed; above 0"),
        ("deadline_s", 5.0, "judge.deadline_s: 5 is not allowed; at least judge.timeout_s (60)"),
        ("temperature", 3.0, "judge.temperature: 3.0 is not allowed; between 0 and 2, or None"),
        ("base_url", "localhost:8000", "judge.base_url: 'localhost:8000' is no URL of a server; such as"),
        ("base_url", "http://[", "judge.base_url: 'http://[' is no URL of a server"),
    ],
)
def test_a_wrong_value_names_field_value_and_what_is_allowed(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        JudgeSettings(**{field: value})
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("url", ["https://me:secret@host/v1", "https://host/v1?key=secret"])
def test_a_url_with_a_secret_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="use OPENAI_API_KEY") as raised:
        JudgeSettings(base_url=url)
    assert "secret" not in str(raised.value)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        JudgeSettings(engine="grpc", concurrency=0, timeout_s=-1)  # type: ignore[arg-type]
    assert all(name in str(raised.value) for name in ("judge.engine", "judge.concurrency", "judge.timeout_s"))


def test_what_decides_replies_is_the_identity_and_limits_are_not() -> None:
    one = JudgeSettings(model="m")
    assert one.identity() == JudgeSettings(model="m", concurrency=9, max_cost_usd=1, requests_per_minute=3).identity()
    others = [
        JudgeSettings(model="n"),
        JudgeSettings(model="m", prompt="paper"),
        JudgeSettings(model="m", temperature=1),
    ]
    assert all(one.identity() != other.identity() for other in others)
    assert one.identity()["prompt_version"] == "strict-3"
    local = JudgeSettings(model="m", engine="transformers")
    assert local.identity() == JudgeSettings(model="m", engine="transformers", base_url="http://a/v1").identity()
    json.dumps(asdict(one))


def test_a_run_that_judges_needs_a_model_and_an_estimate_a_judge() -> None:
    with pytest.raises(ConfigError, match=r"judge\.model: the grader 'judge' needs a model; name one by --judge-model"):
        PipelineConfig(grader="judge")
    with pytest.raises(ConfigError, match="estimate: only a judge costs anything; add --grader judge"):
        PipelineConfig(estimate=True)
    assert PipelineConfig(grader="judge", judge=JudgeSettings(model="m"), estimate=True).judge.model == "m"
