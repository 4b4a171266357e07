"""Against a real HTTP server on this machine that speaks OpenAI's completions."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import threading
import time
from typing import Any

import pytest

from raycalib.errors import ModelError
from raycalib.lm.engines.openai_engine import OpenAiEngine
from raycalib.lm.engines.settings import EngineSettings
from raycalib.lm.generation import Generation, GenerationRequest
from raycalib.prompts import sanitize

KEY = "sk-test-0123456789"
Reply = tuple[int, dict[str, str], dict[str, Any]]


class Server:
    """Answers by a function of the request and how often the same prompt has come; keeps what it was sent."""

    def __init__(self, answer: Callable[[dict[str, Any], int], Reply], wait_s: float = 0.0) -> None:
        self.answer, self.wait_s = answer, wait_s
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        self.url = ""

    def handle(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Reply:
        assert path == "/v1/completions"
        with self.lock:
            n_before = sum(earlier["prompt"] == body["prompt"] for earlier in self.bodies)
            self.bodies.append(body)
            self.headers.append(headers)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        time.sleep(self.wait_s)
        with self.lock:
            self.in_flight -= 1
        return self.answer(body, n_before)


@contextmanager
def serving(server: Server) -> Iterator[EngineSettings]:
    """Settings that lead to the server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, reply = server.handle(
                self.path, {name.lower(): value for name, value in self.headers.items()}, body
            )
            content = json.dumps(reply).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{http.server_address[1]}/v1"
        yield EngineSettings(name="openai", base_url=url, max_in_flight=4, max_retries=2, timeout_s=20)
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def completion(tokens: list[str], gains: list[float] | None, tops: list[dict[str, float]] | None, finish: str) -> Reply:
    logprobs = None if gains is None else {"tokens": tokens, "token_logprobs": gains, "top_logprobs": tops}
    choice = {"index": 0, "text": "".join(tokens), "finish_reason": finish, "logprobs": logprobs}
    usage = {"prompt_tokens": 7, "completion_tokens": len(tokens), "total_tokens": 7 + len(tokens)}
    return (
        200,
        {},
        {"id": "c", "object": "text_completion", "created": 0, "model": "m", "choices": [choice], "usage": usage},
    )


def refusal(status: int, message: str, **headers: str) -> Reply:
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, {"error": {"message": message}}


def engine(settings: EngineSettings, max_new_tokens: int = 5) -> OpenAiEngine:
    return OpenAiEngine(settings, "org/model", max_new_tokens)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_the_prompt_is_sent_as_it_is_and_the_answer_ends_by_the_rule_of_all_engines() -> None:
    tokens = ["\n", " Paris", ".", "\n", "Question"]
    tops = [{"\n": -0.1, "x": -2.5}, {" Paris": -0.2, " Rome": -1.0}, {".": -0.3}, {"\n": -0.4, "y": -0.9}, {"z": -9.0}]
    server = Server(lambda body, _: completion(tokens, [-0.1, -0.2, -0.3, -0.4, -0.5], tops, "length"))
    with serving(server) as settings:
        (done,) = engine(settings).generate([GenerationRequest("Question: 2 + 2?\nAnswer:")])
    assert (done.output, done.n_answer_tokens, done.finish_reason) == ("\n Paris.\n", 3, "stop")
    assert done.log_likelihood == pytest.approx(-0.1 - 0.2 - 0.3)
    assert done.min_margin == pytest.approx(-0.4 + 0.9)  # the least of 2.4, 0.8 and 0.5
    assert server.bodies == [
        {
            "model": "org/model",
            "prompt": "Question: 2 + 2?\nAnswer:",
            "max_tokens": 5,
            "temperature": 0,
            "logprobs": 5,
            "stop": "\n",
        }
    ]
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_letters_are_scored_where_the_server_gives_all_of_them() -> None:
    tops = {" b": -0.5, " a": -1.0, "b": -4.0, " c": -3.0, "\n": -9.0}
    server = Server(lambda body, _: completion([" b"], [-0.5], [tops], "length"))
    with serving(server) as settings:
        three, four = engine(settings).generate([GenerationRequest("Q", 3), GenerationRequest("Q", 4)])
    assert three.option_log_likelihoods == (-1.0, -0.5, -3.0)
    assert four.option_log_likelihoods == ()
    assert (three.output, three.n_answer_tokens, three.finish_reason) == (" b", 1, "stop")
    assert (three.log_likelihood, three.min_margin) == (-0.5, 0.5)
    assert {body["max_tokens"] for body in server.bodies} == {1}


def test_a_server_without_log_probabilities_gives_text_alone() -> None:
    server = Server(lambda body, _: completion([" Paris", "\n", "Question"], None, None, "length"))
    with serving(server) as settings:
        (done,) = engine(settings).generate([GenerationRequest("Q")])
    assert (done.output, done.log_likelihood, done.min_margin, done.finish_reason) == (" Paris\n", None, None, "stop")


def stopping(text: str, tokens: list[str], gains: list[float], tops: list[dict[str, float]]) -> Reply:
    """A server that stopped: the tokens go on behind the text."""
    status, headers, reply = completion(tokens, gains, tops, "stop")
    reply["choices"][0]["text"] = text
    return status, headers, reply


@pytest.mark.parametrize("end", ["</s>", "\n"])
def test_what_ended_the_answer_is_no_part_of_it(end: str) -> None:
    tops = [{" Paris": -0.1, " Rome": -3.0}, {end: -0.5, ".": -1.5}]
    server = Server(lambda body, _: stopping(" Paris", [" Paris", end], [-0.1, -0.5], tops))
    with serving(server) as settings:
        (done,) = engine(settings).generate([GenerationRequest("Q")])
    assert (done.output, done.n_answer_tokens, done.finish_reason) == (" Paris", 1, "stop")
    assert done.log_likelihood == pytest.approx(-0.1)
    assert done.min_margin == pytest.approx(1.0)  # of the end; 2.9 of the answer
    assert len(server.bodies) == 1


def test_a_token_that_holds_text_and_the_break_is_part_of_the_answer() -> None:
    server = Server(lambda body, _: stopping(" Paris.", [" Paris", ".\n"], [-0.1, -0.5], [{}, {}]))
    with serving(server) as settings:
        (done,) = engine(settings).generate([GenerationRequest("Q")])
    assert (done.output, done.n_answer_tokens) == (" Paris.", 2)
    assert done.log_likelihood == pytest.approx(-0.6)


@pytest.mark.parametrize("before", ["", " Either:"])
def test_where_the_break_does_not_end_the_answer_it_is_asked_for_without_a_stop(before: str) -> None:
    def answer(body: dict[str, Any], _: int) -> Reply:
        if "stop" in body:
            return stopping(before, [before, "\n"], [-0.1, -0.2], [{}, {}])
        return completion([before, "\n", "Paris", "\n"], [-0.1, -0.2, -0.3, -0.4], [{}] * 4, "stop")

    server = Server(answer)
    with serving(server) as settings:
        (done,) = engine(settings).generate([GenerationRequest("Q")])
    assert done.output == f"{before}\nParis\n"
    assert sanitize(done.output) == f"{before}Paris".strip()
    assert len(server.bodies) == 2


def test_tokens_that_do_not_spell_the_text_leave_the_text_alone() -> None:
    server = Server(lambda body, _: stopping(" Zürich", [" Z", "bytes:\\xc3", "bytes:\\xbc", "rich"], [-1.0] * 4, []))
    with serving(server) as settings:
        (done,) = engine(settings).generate([GenerationRequest("Q")])
    assert (done.output, done.log_likelihood, done.n_answer_tokens) == (" Zürich", None, 4)


def test_a_reply_that_is_broken_once_is_asked_for_again() -> None:
    def answer(body: dict[str, Any], n_before: int) -> Reply:
        return completion([" ok"], [-1.0], [{}], "stop") if n_before else (200, {}, {"hello": "world"})

    server = Server(answer)
    with serving(server) as settings:
        (done,) = engine(settings).generate([GenerationRequest("Q")])
    assert (done.output, len(server.bodies)) == (" ok", 2)


def test_an_empty_answer() -> None:
    server = Server(lambda body, _: completion([], [], [], "stop"))
    with serving(server) as settings:
        (done,) = engine(settings).generate([GenerationRequest("Q")])
    assert (done.output, done.n_answer_tokens, done.finish_reason, done.error) == ("", 0, "stop", None)


def test_many_requests_come_back_in_order_with_a_bounded_number_in_flight() -> None:
    server = Server(lambda body, _: completion([f" {body['prompt']}"], [-1.0], [{}], "stop"), wait_s=0.01)
    with serving(server) as settings:
        asker = engine(settings)
        done = asker.generate([GenerationRequest(str(number)) for number in range(40)])
    assert [one.output for one in done] == [f" {number}" for number in range(40)]
    assert 1 < server.most_in_flight <= 4
    assert (asker.counts.tokens_read, asker.counts.tokens_generated) == (40 * 7, 40)


def test_a_busy_server_is_asked_again_after_the_time_it_names() -> None:
    def busy_once(body: dict[str, Any], n_before: int) -> Reply:
        if n_before == 0:
            return refusal(429, "slow down", Retry_After="0.05")
        return completion([" ok"], [-1.0], [{}], "stop")

    server = Server(busy_once)
    with serving(server) as settings:
        done = engine(settings).generate([GenerationRequest(str(number)) for number in range(6)])
    assert [one.output for one in done] == [" ok"] * 6
    assert len(server.bodies) == 12


def test_a_server_that_stays_broken_fails_the_shard_after_a_bounded_number_of_requests() -> None:
    server = Server(lambda body, _: refusal(503, "overloaded", Retry_After="0.01"))
    with serving(server) as settings, pytest.raises(ModelError, match="overloaded"):
        engine(settings).generate([GenerationRequest("Q")])
    assert len(server.bodies) == 1 + 2


def test_a_reply_that_is_no_completion_fails_the_shard_in_one_line() -> None:
    for reply in ({"choices": []}, {"hello": "world"}):
        server = Server(lambda body, _, reply=reply: (200, {}, reply))  # type: ignore[misc]
        with serving(server) as settings, pytest.raises(ModelError, match="the reply is not a completion") as raised:
            engine(settings).generate([GenerationRequest("Q")])
        assert "\n" not in str(raised.value)


async def generate_in_a_loop(asker: OpenAiEngine) -> list[Generation]:
    return asker.generate([GenerationRequest("Q")])


def test_a_caller_with_an_event_loop_of_its_own_is_served_too() -> None:
    with serving(Server(lambda body, _: completion([" ok"], [-1.0], [{}], "stop"))) as settings:
        assert asyncio.run(generate_in_a_loop(engine(settings)))[0].output == " ok"


def test_a_text_that_the_server_refuses_costs_itself_alone() -> None:
    def too_long(body: dict[str, Any], _: int) -> Reply:
        if body["prompt"] == "long":
            return refusal(400, "maximum context length is 9 tokens")
        return completion([" ok"], [-1.0], [{}], "stop")

    with serving(Server(too_long)) as settings:
        one, other = engine(settings).generate([GenerationRequest("long"), GenerationRequest("short")])
    assert one.error is not None
    assert "maximum context length" in one.error
    assert (one.finish_reason, other.output, other.error) == ("error", " ok", None)


def test_a_server_that_refuses_everything_fails_the_shard_and_not_its_rows() -> None:
    with serving(Server(lambda body, _: refusal(400, "logprobs is not supported"))) as settings:
        asking = engine(settings)
        (row,) = asking.generate([GenerationRequest("perhaps too long")])
        assert row.error is not None
        with pytest.raises(ModelError, match=r"refuses every request: BadRequestError.*logprobs is not supported"):
            asking.generate([GenerationRequest(str(number)) for number in range(20)])


def test_a_refused_key_ends_at_once_and_is_never_shown() -> None:
    server = Server(lambda body, _: refusal(401, f"Incorrect API key provided: {KEY}"))
    with serving(server) as settings, pytest.raises(ModelError, match="Incorrect API key provided: <key>") as raised:
        engine(settings).generate([GenerationRequest(str(number)) for number in range(50)])
    assert KEY not in "".join(map(str, (raised.value, raised.value.__cause__, raised.value.__dict__)))
    assert len(server.bodies) <= 50


def test_without_a_key_only_a_server_of_ones_own_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ModelError, match="OPENAI_API_KEY is not set"):
        OpenAiEngine(EngineSettings(name="openai"), "m", 4)
    server = Server(lambda body, _: completion([" ok"], [-1.0], [{}], "stop"))
    with serving(server) as settings:
        assert engine(settings).generate([GenerationRequest("Q")])[0].output == " ok"
    assert server.headers[0]["authorization"] == "Bearer none"


def test_no_requests() -> None:
    with serving(Server(lambda body, _: refusal(500, "never asked"))) as settings:
        assert engine(settings).generate([]) == []
