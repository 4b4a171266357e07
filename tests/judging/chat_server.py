"""A real HTTP server on 127.0.0.1 in the format of OpenAI's chat completions, which fails as it is told to.

It replies by a rule of its own, or is a proxy in front of a server with a model (``Plan.upstream``).

In a test it runs in a thread (``ChatServer``); as a script, ``python tests/judging/chat_server.py '{"latency_s": 1}'``,
in a process of its own, which prints its port and ends with its standard input. ``GET /seen`` gives what it counted.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
import hashlib
import json
import sys
import threading
import time
from typing import Any

from aiohttp import ClientSession, web

WRONG_WORD = "Perhaps."
FAULTS = ("busy", "error", "hang", "cut", "garbage")


@dataclass
class Plan:
    """What the server does.

    ``slots``: replies made at once, for which others wait; 0 is no bound.
    ``faults``: share of requests per fault, drawn by a hash of the text and of how often it came. ``script``: statuses
    or faults of the first requests, one each. ``replies``: by text that the last message contains. ``wrong``: share of
    texts whose reply is no verdict. ``upstream``: a server to pass requests on to, ``http://127.0.0.1:PORT``.
    """

    latency_s: float = 0.0
    slots: int = 0
    faults: dict[str, float] = field(default_factory=dict)
    script: list[Any] = field(default_factory=list)
    wrong: float = 0.0
    replies: dict[str, str] = field(default_factory=dict)
    reply: str = ""
    key: str = ""
    models: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: str = "0.05"
    hang_s: float = 30.0
    limit: int = 0
    window_s: float = 60.0
    error: dict[str, Any] = field(default_factory=dict)
    usage: bool = True
    upstream: str = ""


@dataclass
class Seen:
    """What came; a status is ``open`` until the reply is sent, and stays so where the client went away before."""

    times: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    statuses: list[Any] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    over_limit: int = 0

    def most_in_window(self, window_s: float) -> int:
        """The largest number of requests in any sliding window."""
        times = sorted(self.times)
        return max((i - bisect_left(times, end - window_s + 1e-9) + 1 for i, end in enumerate(times)), default=0)


class ChatServer:
    """Serves while its ``with`` block lasts."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan, self.seen = plan or Plan(), Seen()
        self.port = 0
        self._counts: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._session: ClientSession | None = None
        self._slots = asyncio.Semaphore(self.plan.slots) if self.plan.slots else None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "ChatServer":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._runner is not None
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_get("/seen", self._tell)
        app.on_cleanup.append(self._close_session)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()
        self.port = self._runner.addresses[0][1]

    async def _close_session(self, _: web.Application) -> None:
        if self._session is not None:
            await self._session.close()

    async def _tell(self, _: web.Request) -> web.Response:
        values = asdict(self.seen)
        del values["bodies"]
        return web.json_response(values | {"most_in_window": self.seen.most_in_window(self.plan.window_s)})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        now = time.monotonic()
        body = await request.json()
        text = str(body["messages"][-1]["content"])
        seen = self.seen
        n_before = bisect_left(seen.times, now - self.plan.window_s)
        seen.times.append(now)
        seen.texts.append(hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16])
        seen.bodies.append(body)
        place = len(seen.statuses)
        seen.statuses.append("open")
        seen.in_flight += 1
        seen.most_in_flight = max(seen.most_in_flight, seen.in_flight)
        try:
            status = self._refused(request, body) or self._fault(text, place)
            if self.plan.limit and len(seen.times) - n_before > self.plan.limit:
                seen.over_limit += 1
                status = 429
            if status != 200:
                seen.statuses[place] = status
            elif self.plan.latency_s:
                async with self._slots or nullcontext():
                    await asyncio.sleep(self.plan.latency_s)
            response = await self._respond(request, status, body)
            if status == 200:
                await response.prepare(request)
                await response.write_eof()
                seen.statuses[place] = status
            return response
        finally:
            seen.in_flight -= 1

    def _refused(self, request: web.Request, body: dict[str, Any]) -> int:
        if self.plan.key and request.headers.get("Authorization") != f"Bearer {self.plan.key}":
            return 401
        return 404 if self.plan.models and body["model"] not in self.plan.models else 0

    def _fault(self, text: str, place: int) -> Any:
        if place < len(self.plan.script):
            return self.plan.script[place]
        n = self._counts[text] = self._counts[text] + 1
        draw = drawn("fault", text, n)
        for fault in FAULTS:
            share = self.plan.faults.get(fault, 0.0)
            if draw < share:
                return fault
            draw -= share
        return 200

    async def _respond(self, request: web.Request, status: Any, body: dict[str, Any]) -> web.StreamResponse:
        if status == "hang":
            await asyncio.sleep(self.plan.hang_s)
            raise web.HTTPGatewayTimeout
        if status in ("busy", 429):
            return self._error(request, 429, {"Retry-After": self.plan.retry_after})
        if status == "garbage":
            return web.Response(text="<html>a proxy's page</html>", content_type="text/html")
        if status == "cut":
            return await self._cut(request, body)
        if status in ("error", 200):
            return self._error(request, 500, {}) if status == "error" else await self._completion(body)
        return self._error(request, int(status), {})

    async def _cut(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        whole = (await self._completion(body)).body
        assert isinstance(whole, bytes)
        response = web.StreamResponse(headers={"Content-Length": str(len(whole)), "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(whole[: len(whole) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    def _error(self, request: web.Request, status: int, headers: dict[str, str]) -> web.Response:
        said = request.headers.get("Authorization", "")
        message = f"this server says {status} to {said}"
        return web.json_response({"error": {"message": message, **self.plan.error}}, status=status, headers=headers)

    async def _completion(self, body: dict[str, Any]) -> web.Response:
        text = str(body["messages"][-1]["content"])
        return await self._passed_on(body, text) if self.plan.upstream else self._own_completion(self._reply(text))

    async def _passed_on(self, body: dict[str, Any], text: str) -> web.Response:
        self._session = self._session or ClientSession()
        async with self._session.post(f"{self.plan.upstream}/v1/chat/completions", json=body) as response:
            values = await response.json()
        if self._is_wrong(text):
            values["choices"][0]["message"]["content"] = WRONG_WORD
        return web.json_response(values, status=response.status, headers=self.plan.headers)

    def _own_completion(self, reply: str) -> web.Response:
        values: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": "judge",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}},
            ],
        }
        if self.plan.usage:
            values["usage"] = {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102}
        return web.json_response(values, headers=self.plan.headers)

    def _reply(self, text: str) -> str:
        for part, reply in self.plan.replies.items():
            if part in text:
                return reply
        if self.plan.reply:
            return self.plan.reply
        if self._is_wrong(text):
            return WRONG_WORD
        try:
            fields = json.loads(text.split("\n", 1)[0])
            return "Yes." if fields["right_answer"] == fields["proposed_answer"] else "No."
        except (ValueError, KeyError):
            return "No."

    def _is_wrong(self, text: str) -> bool:
        return drawn("wrong", text) < self.plan.wrong


def drawn(*parts: object) -> float:
    """Uniform in [0, 1), by what is given alone."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:13], 16) / 16**13


async def serve(plan: Plan) -> None:
    server = ChatServer(plan)
    await server.start()
    print(server.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(Plan(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))))
