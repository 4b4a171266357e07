"""Servers with the oddities that users report: each is judged by rightly, or stops early with what helps."""

from collections.abc import Callable, Iterator
import json
from pathlib import Path
import socket
from typing import Any

from aiohttp import web
import pytest

from raycalib.judging.desk import LocalDesk
from raycalib.judging.ledger import LimitSettings
from raycalib.judging.outcome import Outcome
from raycalib.judging.prices import Price
from raycalib.judging.remote_judge import RemoteJudge
from raycalib.judging.reply_cache import ReplyCache
from raycalib.judging.settings import JudgeSettings
from raycalib.storage import Location
from tests.judging.chat_server import ChatServer
from tests.judging.test_remote_judge import rows, texts

USAGE = {"prompt_tokens": 50, "completion_tokens": 3}
Make = Callable[[dict[str, Any]], Any]


def chat(content: Any = "yes", finish: str = "stop", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **more}
    return {"model": "judge-1", "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": USAGE}


class OddServer(ChatServer):
    """Answers by what ``make`` makes of a request's body: a body, or a whole response."""

    def __init__(self, make: Make) -> None:
        super().__init__()
        self.make = make

    async def _completion(self, body: dict[str, Any]) -> web.Response:
        made = self.make(body)
        return made if isinstance(made, web.Response) else web.Response(text=json.dumps(made))


class Judging:
    def __init__(self, url: str, place: Path, limit: float | None = None, **settings: Any) -> None:
        given = {"base_url": url, "model": "judge", "timeout_s": 10.0, "deadline_s": 60.0, "outage_s": 0.3}
        self.settings = JudgeSettings(**{**given, **settings})
        self.desk = LocalDesk(LimitSettings(max_cost_usd=limit), "sk-planted-0123456789")
        cache = ReplyCache(Location(str(place)), self.settings)
        self.judge = RemoteJudge(self.settings, cache, self.desk, Price(input=1e6, output=1e6))  # a dollar a token

    def __call__(self, n: int = 60) -> list[Outcome]:
        try:
            return self.judge.replies(rows(n))
        finally:
            self.judge.close()

    @property
    def spent(self) -> float:
        return self.desk.ledger.budget.spent_usd


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Callable[..., tuple[list[Outcome], OddServer, Judging]]]:
    """One server, whose manner changes from call to call: its address is part of what a reply is found by."""
    with OddServer(lambda body: chat()) as server:

        def ask(make: Make, n: int = 60, **settings: Any) -> tuple[list[Outcome], OddServer, Judging]:
            server.make = make
            server.seen.times.clear()
            judging = Judging(server.url, tmp_path, **settings)
            return judging(n), server, judging

        yield ask


def refusal(status: int, message: str, **headers: str) -> Make:
    return lambda body: web.json_response({"error": {"message": message}}, status=status, headers=headers)


NEVER: dict[str, tuple[Make, list[str]]] = {
    "think": (lambda body: chat("<think>\nThe question asks", "length"), ["<think>", "--judge.max-output-tokens"]),
    "reasoning_null": (lambda body: chat(None, "length", reasoning_content="hm"), ["--judge.max-output-tokens"]),
    "empty": (lambda body: {**chat(), "choices": []}, ["no message", "--judge-model"]),
    "nullmsg": (
        lambda body: {**chat(), "choices": [{"message": None, "finish_reason": "content_filter"}]},
        ["filter", "--judge-model"],
    ),
    "sorry": (lambda body: chat("I'm sorry, I can't help."), ["I'm sorry", "--judge-model"]),
    "refusal": (lambda body: chat(None, refusal="I cannot judge that."), ["I cannot", "--judge-model"]),
    "garbage": (lambda body: chat('{"score": 7, "why": "'), ['{"score', "--judge-prompt strict"]),
    "silent": (lambda body: chat(""), ["empty", "chat template"]),
    "cut": (lambda body: chat("The proposed answer is the", "length"), ["cut off", "--judge.max-output-tokens"]),
    "screen": (lambda body: chat("\x1b[2J\u202emaybe"), ["\\x1b[2J\\u202emaybe"]),
}


@pytest.mark.parametrize("name", NEVER)
def test_a_judge_that_never_gives_a_verdict_is_asked_about_twenty_rows(asked, name: str, tmp_path: Path) -> None:
    make, words = NEVER[name]
    outcomes, server, _ = asked(make, concurrency=256)
    assert len(server.seen.times) == 20
    assert {outcome.retryable for outcome in outcomes} == {True}  # also the twenty: a rerun asks them again
    reason = outcomes[-1].reason
    assert all(word in reason for word in words), reason
    assert "\x1b" not in reason
    assert not list(tmp_path.rglob("*.jsonl"))
    outcomes, server, _ = asked(lambda body: chat("yes"))  # the server was mended
    assert texts(outcomes) == ["yes"] * 60


def test_replies_before_the_first_verdict_are_kept_once_there_is_one(asked) -> None:
    n = iter(range(1000))
    outcomes, server, _ = asked(lambda body: chat("Perhaps." if next(n) < 15 else "yes"), concurrency=1)
    assert (texts(outcomes).count("Perhaps."), texts(outcomes).count("yes")) == (15, 45)
    assert not any(outcome.retryable for outcome in outcomes)
    outcomes, server, _ = asked(lambda body: chat("no"))
    assert len(server.seen.times) == 0


def test_fewer_rows_than_a_trial_are_unscored_and_kept(asked) -> None:
    outcomes, _, _ = asked(lambda body: chat("Perhaps."), n=19)
    assert texts(outcomes) == ["Perhaps."] * 19
    assert len(asked(lambda body: chat("yes"), n=19)[1].seen.times) == 0


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (402, "Insufficient Balance", "--judge-base-url"),
        (404, "Not Found", "--judge-base-url"),
        (308, "", "redirects to http://127.0.0.1:1/elsewhere: name the last address by --judge-base-url"),
        (
            400,
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'",
            "token-limit-name max_completion_tokens",
        ),
        (400, "Unsupported value: 'temperature' does not support 0", "--judge.temperature None"),
        (400, "'max_output_tokens': Expected a value >= 16, but got 8", "--judge.max-output-tokens 16"),
    ],
)
def test_what_every_row_meets_stops_at_once_with_the_flag_that_helps(
    asked, status: int, message: str, words: str
) -> None:
    make = refusal(status, message, Location="http://127.0.0.1:1/elsewhere?token=secret")
    outcomes, server, judging = asked(make, concurrency=4)
    assert len(server.seen.times) <= 4
    assert words in outcomes[0].reason
    assert "secret" not in outcomes[0].reason
    assert judging.spent == 0


def test_an_error_in_a_response_of_status_200_is_an_error(asked) -> None:
    outcomes, server, _ = asked(lambda body: {"error": {"message": "no credits", "code": 402}}, concurrency=2)
    assert len(server.seen.times) <= 2
    assert "402: no credits" in outcomes[0].reason


@pytest.mark.parametrize("reset", ["epoch", "iso", "duration"])
def test_a_reset_that_is_a_moment_is_waited_for(asked, reset: str) -> None:
    from datetime import UTC, datetime, timedelta

    n, soon = iter(range(1000)), datetime.now(UTC) + timedelta(seconds=3)
    text = {"epoch": str(int(soon.timestamp())), "iso": soon.strftime("%Y-%m-%dT%H:%M:%SZ"), "duration": "1s"}[reset]
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": text}
    outcomes, _, _ = asked(
        lambda body: web.json_response(chat(), headers=headers if next(n) == 3 else {}), n=10, concurrency=1
    )
    assert texts(outcomes) == ["yes"] * 10


@pytest.mark.parametrize("text", [" Yes</s>", "<think>Rome</think>\n\nYes", '{"verdict": "yes"}', "Answer: yes"])
def test_a_verdict_in_another_dress_is_one(asked, text: str) -> None:
    outcomes, server, _ = asked(lambda body: chat(text))
    assert texts(outcomes) == [text] * 60
    assert len(server.seen.times) == 60


@pytest.mark.parametrize(
    "usage",
    [None, [], "50", {"prompt_tokens": -50, "completion_tokens": -3}, {"prompt_tokens": "50", "completion_tokens": "3"},
     {"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, {"prompt_tokens": 1e300},
     {"prompt_tokens": 10**400}],
)  # fmt: skip
def test_a_usage_that_is_no_count_costs_the_worst_case(asked, usage: Any) -> None:
    outcomes, _, judging = asked(lambda body: chat() | {"usage": usage}, n=1)
    assert texts(outcomes) == ["yes"]
    worst = sum(len(message["content"]) for message in rows(1)[0]) + 32 + 8
    assert judging.spent == judging.judge.tally.cost_usd == pytest.approx(worst)


def test_a_reply_costs_what_the_server_counts(asked) -> None:
    _, _, judging = asked(lambda body: chat(), n=5)
    assert judging.spent == pytest.approx(5 * 53)


def closed_port() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}/v1"


@pytest.mark.parametrize("way", ["port", "name", "tls", "proxy"])
@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
def test_what_never_left_costs_nothing_and_does_not_block_the_run(
    tmp_path: Path, way: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if transport == "httpx":
        import openai

        monkeypatch.setattr(openai, "DefaultAioHttpClient", openai.DefaultAsyncHttpxClient)
    if way == "proxy":
        monkeypatch.setenv("HTTP_PROXY", closed_port())
    with ChatServer() as server:
        url = {
            "port": closed_port(),
            "name": "http://no-such-host.invalid/v1",
            "tls": server.url.replace("http", "https"),
            "proxy": "http://judge.invalid/v1",
        }[way]
        judging = Judging(url, tmp_path, limit=3000.0, outage_failures=5)  # of about three rows at their worst
        outcomes = judging(20)
    assert all(outcome.retryable for outcome in outcomes)
    assert "failed" in outcomes[-1].reason
    assert "check --judge-base-url" in outcomes[-1].reason
    assert judging.spent == judging.judge.tally.cost_usd == 0
    assert server.seen.times == []


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
def test_a_reply_that_was_lost_costs_the_worst_case(tmp_path: Path, transport: str, monkeypatch) -> None:
    """The server read the request and closed the connection; aiohttp's transport calls that a connection not made."""
    if transport == "httpx":
        import openai

        monkeypatch.setattr(openai, "DefaultAioHttpClient", openai.DefaultAsyncHttpxClient)

    class Closing(ChatServer):
        async def _answer(self, request: web.Request) -> web.StreamResponse:
            await request.read()
            assert request.transport is not None
            request.transport.close()
            raise web.HTTPOk

    with Closing() as server:
        judging = Judging(server.url, tmp_path, max_attempts=1)
        judging(1)
    assert judging.spent == pytest.approx(sum(len(message["content"]) for message in rows(1)[0]) + 32 + 8)
