"""A server with OpenAI's completions whose replies take as long as it is told, in place of GPUs that are not here.

As a script, ``python bench/completions_server.py 0.1`` prints its port and ends with its standard input.
"""

import asyncio
from pathlib import Path
import subprocess
import sys
from typing import Any

from aiohttp import web

ANSWER = " Paris"


class CompletionsServer:
    """Serves from a process of its own while the ``with`` block lasts."""

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s

    def __enter__(self) -> "CompletionsServer":
        command = [sys.executable, str(Path(__file__)), str(self.latency_s)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


async def serve(latency_s: float) -> None:
    """Until standard input ends."""

    async def answer(request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        await asyncio.sleep(latency_s)
        logprobs = {"tokens": [ANSWER], "token_logprobs": [-0.5], "top_logprobs": [{ANSWER: -0.5, " Rome": -1.5}]}
        choice = {"index": 0, "text": ANSWER, "finish_reason": "stop", "logprobs": logprobs}
        usage = {"prompt_tokens": len(body["prompt"]) // 4, "completion_tokens": 1, "total_tokens": 1}
        return web.json_response(
            {"id": "c", "object": "text_completion", "model": "m", "choices": [choice]} | {"usage": usage}
        )

    app = web.Application()
    app.router.add_post("/v1/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
