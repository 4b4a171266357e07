"""One call to a judge: a real server that says yes, something else, or refuses."""

import pytest

from raycalib.doctor.judge_check import judge_check
from raycalib.judging.settings import JudgeSettings
from tests.judging.chat_server import ChatServer, Plan


def checked(plan: Plan) -> tuple[bool, str, str]:
    with ChatServer(plan) as server:
        check = judge_check(JudgeSettings(model="m", base_url=server.url, timeout_s=5))
    return check.is_well, check.found, check.remedy


def test_a_judge_that_judges_is_asked_once() -> None:
    with ChatServer(Plan(reply="Yes")) as server:
        assert judge_check(JudgeSettings(model="m", base_url=server.url)).is_well
        assert len(server.seen.times) == 1


@pytest.mark.parametrize(
    ("plan", "said"),
    [(Plan(reply="Perhaps."), "says 'Perhaps.' of a right answer"), (Plan(reply="No"), "says 'No' of a right answer")],
)
def test_a_judge_that_does_not_say_that_a_right_answer_is_right(plan: Plan, said: str) -> None:
    is_well, found, remedy = checked(plan)
    assert not is_well
    assert said in found
    assert "--judge-prompt strict" in remedy


def test_a_server_that_refuses_is_told_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-and-never-shown-0123456789")
    is_well, found, _ = checked(Plan(key="sk-right"))
    assert not is_well
    assert "401" in found
    assert "never-shown" not in found


def test_a_missing_key_is_told_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    check = judge_check(JudgeSettings(model="gpt-4o-mini"))
    assert not check.is_well
    assert "OPENAI_API_KEY is not set" in check.found
