"""The judge against a real HTTP server on 127.0.0.1 that fails as it is told to."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
import json
from pathlib import Path
import re
import socket

from aiohttp import web
import pytest

from raycalib.judging import judge_prompt
from raycalib.judging.desk import LocalDesk
from raycalib.judging.ledger import Ask, LimitSettings
from raycalib.judging.outcome import Outcome
from raycalib.judging.prices import Price
from raycalib.judging.prompt_versions import Messages
from raycalib.judging.remote_judge import RemoteJudge
from raycalib.judging.reply_cache import ReplyCache
from raycalib.judging.settings import JudgeSettings
from raycalib.storage import Location
from tests.judging.chat_server import ChatServer, Plan

KEY = "sk-planted-0123456789"


def rows(n: int, wrong: int = 0, start: int = 0) -> list[Messages]:
    """Questions of which the first ``wrong`` have another proposed answer."""
    make = judge_prompt("strict").messages
    return [make(f"{i}?", f"a{i}", "b" if i - start < wrong else f"a{i}") for i in range(start, start + n)]


class Asking:
    """A judge, its server and its desk."""

    def __init__(self, server: ChatServer, place: Path, limits: LimitSettings | None = None, **settings) -> None:
        given = {"base_url": server.url, "model": "judge", "timeout_s": 5.0, "deadline_s": 20.0, "outage_s": 0.3}
        self.settings = JudgeSettings(**{**given, **settings})
        self.place = Location(str(place))
        self.desk = LocalDesk(limits, KEY)
        self.asks: list[Ask] = []
        exchange = self.desk.ledger.exchange
        self.desk.ledger.exchange = lambda ask: (self.asks.append(ask), exchange(ask))[1]  # type: ignore[method-assign]
        self.price = Price(input=1e6, output=0.0)  # a dollar per token in
        self.judge = RemoteJudge(self.settings, ReplyCache(self.place, self.settings), self.desk, self.price)

    def __call__(self, requests: list[Messages]) -> list[Outcome]:
        return self.judge.replies(requests)


@pytest.fixture
def ask(tmp_path: Path) -> Iterator:
    opened = []

    def make(plan: Plan | None = None, limits: LimitSettings | None = None, **settings) -> Asking:
        server = ChatServer(plan).__enter__()
        asking = Asking(server, tmp_path, limits, **settings)
        asking.server = server
        opened.append(asking)
        return asking

    yield make
    for asking in opened:
        asking.judge.close()
        asking.server.__exit__()


def texts(outcomes: list[Outcome]) -> list[str | None]:
    return [outcome.text for outcome in outcomes]


def test_every_row_is_answered_in_order_and_a_second_time_from_the_cache(ask) -> None:
    asking = ask(Plan(key=KEY, models=["judge"]))
    requests = rows(30, wrong=10)
    assert texts(asking(requests)) == ["No."] * 10 + ["Yes."] * 20
    assert len(asking.server.seen.times) == 30
    assert texts(asking(requests)) == ["No."] * 10 + ["Yes."] * 20
    assert len(asking.server.seen.times) == 30
    tally = asking.judge.tally
    assert (tally.requests, tally.cached, tally.retries, tally.tokens_in, tally.tokens_out) == (30, 30, 0, 3000, 60)
    assert tally.cost_usd == pytest.approx(3000)


def test_what_is_sent_is_what_the_settings_say(ask) -> None:
    asking = ask(temperature=None, token_limit_name="max_completion_tokens", max_output_tokens=3)
    asking(rows(1))
    assert asking.server.seen.bodies == [{"model": "judge", "messages": rows(1)[0], "max_completion_tokens": 3}]


def test_equal_rows_are_asked_once(ask) -> None:
    asking = ask()
    assert texts(asking(rows(1) * 7)) == ["Yes."] * 7
    assert len(asking.server.seen.times) == 1


def test_calls_of_several_threads_share_places_and_ask_nothing_twice(ask) -> None:
    """One request hangs and is made again."""
    asking = ask(Plan(latency_s=0.1, script=["hang"]), concurrency=20, timeout_s=3.0)
    parts = [rows(60, start=start) for start in (0, 40, 80, 120)]  # each shares 20 with the next
    with ThreadPoolExecutor(max_workers=4) as threads:
        done = list(threads.map(asking, parts))
    assert all(texts(outcomes) == ["Yes."] * 60 for outcomes in done)
    assert len(asking.server.seen.times) == 180 + 1
    assert asking.server.seen.most_in_flight <= 20
    assert asking.judge.tally.requests == 181


def test_hundreds_are_in_flight_and_never_more_than_allowed(ask) -> None:
    asking = ask(Plan(latency_s=1.0), concurrency=150)
    assert texts(asking(rows(300))) == ["Yes."] * 300
    assert 100 < asking.server.seen.most_in_flight <= 150


@pytest.mark.parametrize("fault", ["busy", "error", "cut", "garbage", 503, 408])
def test_what_passes_is_asked_again(ask, fault) -> None:
    asking = ask(Plan(script=[fault] * 3))
    assert texts(asking(rows(2))) == ["Yes."] * 2
    assert len(asking.server.seen.times) == 5
    assert (asking.judge.tally.requests, asking.judge.tally.retries, asking.judge.tally.failed) == (5, 3, 3)


def test_a_request_that_hangs_is_given_up_and_made_again(ask) -> None:
    asking = ask(Plan(script=["hang"]), timeout_s=0.3)
    assert texts(asking(rows(1))) == ["Yes."]
    assert asking.server.seen.statuses == ["hang", 200]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(ask, form: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    asking = ask(Plan(script=[429], retry_after="1.5" if form == "seconds" else date))
    assert texts(asking(rows(1))) == ["Yes."]
    first, second = asking.server.seen.times
    assert second - first >= (1.5 if form == "seconds" else 1.0)  # the date was made before the server started


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_every_row_would_meet_ends_the_asking_at_once_with_the_servers_words(ask, status: int) -> None:
    asking = ask(Plan(script=[status] * 1000), concurrency=4)
    outcomes = asking(rows(200))
    assert len(asking.server.seen.times) <= 4
    assert {outcome.retryable for outcome in outcomes} == {True}
    (reason,) = {outcome.reason for outcome in outcomes}
    assert reason.startswith(f"the judge's server refused: {status}: this server says {status} to Bearer <key>")
    assert asking.desk.ledger.stop == reason
    assert {outcome.retryable for outcome in asking(rows(5, start=500))} == {True}
    assert len(asking.server.seen.times) <= 4


def test_an_exhausted_account_ends_the_asking(ask) -> None:
    asking = ask(Plan(script=[429] * 100, error={"code": "insufficient_quota", "message": "no money"}), concurrency=1)
    assert asking(rows(3))[2] == Outcome(reason="the judge's server refused: 429: no money", retryable=True)
    assert len(asking.server.seen.times) == 1


def test_a_row_that_the_server_refuses_costs_itself_alone(ask) -> None:
    plan = Plan(script=[400], error={"code": "context_length_exceeded", "message": "too long"})
    outcomes = ask(plan, concurrency=1)(rows(3))
    assert outcomes[0] == Outcome(reason="the judge's server refused this row: 400: too long")
    assert texts(outcomes[1:]) == ["Yes."] * 2


def test_a_row_too_long_for_a_server_without_codes_costs_itself_alone(ask) -> None:
    """vLLM: status 400, the status as its code, and a message."""
    plan = Plan(script=[400], error={"code": 400, "message": "This model's maximum context length is 4096 tokens."})
    outcomes = ask(plan, concurrency=1)(rows(3))
    assert outcomes[0].reason.startswith("the judge's server refused this row: 400: This model's maximum context")
    assert not outcomes[0].retryable
    assert texts(outcomes[1:]) == ["Yes."] * 2


def test_a_server_that_refuses_every_row_is_not_asked_about_all_of_them(ask) -> None:
    plan = Plan(script=[413] * 1000, error={"message": "no such texts"})
    asking = ask(plan, concurrency=1)
    outcomes = asking(rows(100))
    assert len(asking.server.seen.times) == 20
    assert outcomes[99].retryable
    assert outcomes[99].reason == "the judge's server refused the first 20 rows: 413: no such texts"


@pytest.mark.parametrize("give_up", [False, True])
@pytest.mark.parametrize("asks_all", [False, True])
def test_verdicts_of_an_earlier_run_show_that_the_judge_gives_any(ask, give_up: bool, asks_all: bool) -> None:
    """A run in which the filter refuses all rows that are left ends, whether or not the others are asked about too."""
    plan = Plan(error={"code": "content_filter", "message": "filtered"})
    first = ask(plan, concurrency=1)
    assert texts(first(rows(40))) == ["Yes."] * 40
    plan.script = [200] * 40 + [400] * 1000
    again = ask(plan, concurrency=4, give_up=give_up, base_url=first.server.url)
    outcomes = again(rows(70))[40:] if asks_all else again(rows(30, start=40))
    assert [outcome.reason for outcome in outcomes] == ["the judge's server refused this row: 400: filtered"] * 30
    assert not any(outcome.retryable for outcome in outcomes)
    assert again.desk.ledger.stop == ""


def test_a_model_that_thinks_until_the_limit_is_told_apart_from_an_empty_reply(ask) -> None:
    class Thinking(ChatServer):
        def _own_completion(self, reply):
            values = json.loads(super()._own_completion(reply).body)
            values["choices"][0] |= {"finish_reason": "length", "message": {"role": "assistant", "content": None}}
            return web.json_response(values)

    with Thinking() as server:
        asking = ask(base_url=server.url, concurrency=1)
        outcomes = asking(rows(30))
    assert "max_tokens (8) before any text" in outcomes[0].reason
    assert "raise --judge.max-output-tokens" in outcomes[0].reason
    assert asking.judge.tally.requests == 20
    assert outcomes[29].retryable


@pytest.mark.parametrize("content", ["yes \ud83d", [{"type": "text", "text": "yes"}, {"type": "text", "text": " ?"}]])
def test_unusual_texts_of_a_reply_are_texts(ask, content) -> None:
    class Unusual(ChatServer):
        def _own_completion(self, reply):
            values = json.loads(super()._own_completion(reply).body)
            values["choices"][0]["message"]["content"] = content
            return web.json_response(values)

    with Unusual() as server:
        (outcome,) = ask(base_url=server.url)(rows(1))
    assert outcome.text == "yes ?"


def test_the_model_behind_a_name_and_the_day_are_kept(ask) -> None:
    class Alias(ChatServer):
        def _own_completion(self, reply):
            values = json.loads(super()._own_completion(reply).body)
            return web.json_response(values | {"model": "judge-2026-07-18"})

    with Alias() as server:
        asking = ask(base_url=server.url)
        (first,), (again,) = asking(rows(1)), asking(rows(1))
    assert first == again
    assert (first.model, first.date) == ("judge-2026-07-18", datetime.now(UTC).date().isoformat())


def test_a_server_that_is_busy_for_all_of_a_deadline_parks_the_rows(ask) -> None:
    asking = ask(Plan(script=["busy"] * 100_000, retry_after="0"), concurrency=4, deadline_s=3.0, timeout_s=1.0)
    outcomes = asking(rows(500))
    assert all(outcome.retryable for outcome in outcomes)
    assert "busy for all of 3 s" in outcomes[499].reason
    # from its third failure on a row waits for a quarter of a second and more, whatever Retry-After says
    assert len(asking.server.seen.times) < 200


@pytest.mark.parametrize(
    "plan",
    [
        Plan(script=["busy"] * 1000, retry_after="10800"),
        Plan(headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "23h59m0s"}),
    ],
)
def test_a_wait_of_hours_is_said_and_not_waited_for(ask, plan: Plan) -> None:
    asking = ask(plan, concurrency=8)
    outcomes = asking(rows(100))
    assert len(asking.server.seen.times) <= 8 + 4  # one by chance is one row's; five in a row are everybody's
    assert outcomes[99].retryable
    assert re.search(
        r"asks for a wait of (10,800|86,340) s, which is longer than judge.deadline_s", outcomes[99].reason
    )


def test_a_pause_is_kept_by_all_from_the_moment_it_was_asked_for(ask) -> None:
    asking = ask(Plan(script=["busy"] * 30, retry_after="2"), concurrency=30)
    assert texts(asking(rows(30))) == ["Yes."] * 30
    times = asking.server.seen.times
    assert min(times[30:]) - times[0] >= 1.9
    resumed = [ask.pause_s for ask in asking.asks if ask.pause_s]
    assert resumed
    assert max(resumed) <= 2.0  # what is left of it, and not all of it once more


def test_rows_that_get_no_reply_are_left_unscored_where_that_is_asked_for(ask) -> None:
    plan = Plan(script=["error"] * 100)
    (parked,) = ask(plan, max_attempts=2)(rows(1))
    (given_up,) = ask(plan, max_attempts=2, give_up=True)(rows(1))
    assert (parked.retryable, given_up.retryable) == (True, False)
    assert given_up.reason.startswith("no verdict after 2 requests")


def test_rows_underway_when_an_outage_begins_are_parked_and_not_given_up(ask) -> None:
    asking = ask(Plan(script=[200] * 10 + ["error"] * 100_000), concurrency=4, max_attempts=3, outage_failures=10_000)
    outcomes = asking(rows(20))
    assert texts(outcomes)[:10] == ["Yes."] * 10
    assert all(outcome.retryable for outcome in outcomes[10:])


def test_no_part_of_the_key_is_shown_where_a_body_is_cut(ask) -> None:
    class Echo(ChatServer):
        async def _completion(self, body):
            return web.Response(text="x" * 90 + f" x-forwarded-key={KEY} " + "x" * 50, content_type="text/html")

    with Echo() as server:
        (outcome,) = ask(base_url=server.url, max_attempts=1)(rows(1))
    assert "no chat completion" in outcome.reason
    assert KEY[:6] not in outcome.reason


def test_an_outage_parks_the_rows_that_are_left(ask) -> None:
    asking = ask(Plan(script=[200] * 10 + ["error"] * 10_000), concurrency=10, outage_failures=20)
    outcomes = asking(rows(100))
    assert texts(outcomes)[:10] == ["Yes."] * 10
    parked = outcomes[10:]
    assert all(outcome.retryable and "failed" in outcome.reason and "500" in outcome.reason for outcome in parked)
    assert len(asking.server.seen.times) < 100


def test_a_server_that_is_not_there_parks_all_rows(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        settings = JudgeSettings(
            model="m", base_url=f"http://127.0.0.1:{held.getsockname()[1]}/v1", outage_failures=5, outage_s=0.1
        )
        judge = RemoteJudge(settings, ReplyCache(Location(str(tmp_path)), settings), LocalDesk(), None)
        outcomes = judge.replies(rows(20))
        judge.close()
    assert all(outcome.retryable for outcome in outcomes)


def test_a_row_that_fails_while_others_succeed_is_unscored_for_good(ask) -> None:
    class Bad(ChatServer):
        def _fault(self, text, place):
            return "error" if '"3?"' in text else 200

    with Bad() as server:
        asking = ask(max_attempts=3, concurrency=1, base_url=server.url)
        first = asking(rows(4))
        assert first[3].retryable  # no other row was underway: the server may be at fault
        asking = ask(max_attempts=3, concurrency=2, base_url=server.url)
        outcomes = asking(rows(40))
    assert outcomes[3].text is None
    assert outcomes[3].reason.startswith("no verdict after 3 requests in")
    assert not outcomes[3].retryable
    assert texts(outcomes[4:]) == ["Yes."] * 36


def test_a_row_has_a_deadline_over_all_its_requests(ask) -> None:
    asking = ask(Plan(script=["busy"] * 1000, retry_after="30"), deadline_s=6.0)
    (outcome,) = asking(rows(1))
    assert (outcome.text, outcome.retryable) == (None, True)
    assert outcome.reason.startswith("no verdict after 1 requests")
    assert len(asking.server.seen.times) == 1


def test_limits_of_requests_are_kept_as_the_server_counts_them(ask) -> None:
    limits = LimitSettings(requests=40, window_s=1.0, lease_s=0.15, way_s=0.25)
    asking = ask(Plan(limit=40, window_s=1.0, script=["error"] * 10), limits)
    assert texts(asking(rows(100))) == ["Yes."] * 100
    assert len(asking.server.seen.times) == 110
    assert asking.server.seen.most_in_window(1.0) <= 40
    assert asking.server.seen.over_limit == 0


def test_the_servers_headers_lower_the_limit_and_pause(ask) -> None:
    headers = {"x-ratelimit-limit-requests": "20", "x-ratelimit-remaining-requests": "5"}
    asking = ask(Plan(headers=headers), LimitSettings(window_s=1.0, lease_s=0.1, way_s=0.1), concurrency=1)
    asking(rows(5))
    assert asking.desk.ledger._requests.limit == 20


def test_a_cost_limit_is_never_exceeded_and_parks_the_rest(ask) -> None:
    # each reply costs 100 $ (100 tokens in), and may cost a dollar per byte at worst
    asking = ask(limits=LimitSettings(max_cost_usd=5000.0), concurrency=16)
    outcomes = asking(rows(100))
    n_asked = len(asking.server.seen.times)
    assert n_asked * 100 <= 5000
    assert asking.judge.tally.cost_usd == pytest.approx(n_asked * 100)
    assert n_asked >= 38  # the last rows could have cost 1,200 $ each
    parked = [outcome for outcome in outcomes if outcome.text is None]
    assert len(parked) == 100 - n_asked
    assert all(outcome.retryable and "could exceed max_cost_usd (5000)" in outcome.reason for outcome in parked)


def test_a_lost_reply_is_booked_at_its_worst(ask) -> None:
    asking = ask(Plan(script=["cut"]), limits=LimitSettings(max_cost_usd=1e9))
    asking(rows(1))
    worst = sum(len(message["content"]) for message in rows(1)[0]) + 32
    assert asking.judge.tally.cost_usd == pytest.approx(100 + worst)
    assert asking.desk.ledger.budget.spent_usd == pytest.approx(100 + worst)


@pytest.mark.parametrize("status", [408, 502, 504, 520, 524])
def test_what_a_gateway_gave_up_is_booked_at_its_worst(ask, status: int) -> None:
    """The server behind it may have done the work."""
    asking = ask(Plan(script=[status]), limits=LimitSettings(max_cost_usd=1e9))
    asking(rows(1))
    worst = sum(len(message["content"]) for message in rows(1)[0]) + 32
    assert asking.judge.tally.cost_usd == pytest.approx(100 + worst)
    assert asking.desk.ledger.budget.spent_usd == pytest.approx(100 + worst)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_a_server_says_that_it_did_not_do_costs_nothing(ask, status: int) -> None:
    asking = ask(Plan(script=[status]), limits=LimitSettings(max_cost_usd=1e9))
    asking(rows(1))
    assert asking.judge.tally.cost_usd == pytest.approx(100)
    assert asking.desk.ledger.budget.spent_usd == pytest.approx(100)


@pytest.mark.parametrize("code", [{"reason": "busy"}, ["busy"], 7, None, True])
def test_an_error_code_of_any_kind_is_read(ask, code: object) -> None:
    class Router(ChatServer):
        async def _completion(self, body):
            return web.json_response({"error": {"code": code, "message": "busy"}})

    with Router() as server:
        (outcome,) = ask(base_url=server.url, max_attempts=1)(rows(1))
    assert outcome.reason.endswith(": 500: busy")


def test_a_server_that_counts_no_tokens_is_taken_at_its_worst(ask) -> None:
    asking = ask(Plan(usage=False))
    asking(rows(1))
    assert asking.judge.tally.cost_usd == pytest.approx(sum(len(m["content"]) for m in rows(1)[0]) + 32)


def test_permits_take_few_calls(ask) -> None:
    asking = ask(Plan(latency_s=0.05), concurrency=100)
    asking(rows(400))
    assert asking.desk.n_calls < 120


def test_the_key_is_in_no_outcome_and_no_file(ask, tmp_path: Path, capfd) -> None:
    asking = ask(Plan(key="another"))
    outcomes = asking(rows(3))
    assert KEY not in repr(outcomes) + repr(asking.settings) + repr(asking.judge.tally)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert KEY not in "".join(capfd.readouterr())


def test_everything_at_once_leaves_every_row_scored_or_with_a_reason(ask) -> None:
    faults = {"busy": 0.10, "error": 0.05, "hang": 0.03, "cut": 0.02, "garbage": 0.02}
    asking = ask(Plan(faults=faults, wrong=0.01, latency_s=0.02), timeout_s=0.5, concurrency=64, outage_s=10.0)
    outcomes = asking(rows(400, wrong=100))
    parse = judge_prompt("strict").parse
    grades = [parse(outcome.text) if outcome.text else None for outcome in outcomes]
    assert None not in grades, [outcome for outcome in outcomes if not outcome.text]
    labels = [grade.query_label for grade in grades if grade]
    assert all(label in (0, None) for label in labels[:100])
    assert all(label in (1, None) for label in labels[100:])
    assert 0 < labels.count(None) < 20
