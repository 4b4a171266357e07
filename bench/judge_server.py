"""A judge's server in a process of its own, which does the counting; see tests/judging/chat_server.py."""

import json
from pathlib import Path
import subprocess
import sys
from typing import Any
from urllib.request import urlopen

SERVER = Path(__file__).parents[1] / "tests" / "judging" / "chat_server.py"


class JudgeServer:
    """Serves while the ``with`` block lasts."""

    def __init__(self, **plan: Any) -> None:
        """What the server does; see ``Plan`` of chat_server.py."""
        self.plan = plan

    def __enter__(self) -> "JudgeServer":
        command = [sys.executable, str(SERVER), json.dumps(self.plan)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://127.0.0.1:{self.port}/v1"

    def seen(self) -> dict[str, Any]:
        """What it counted."""
        with urlopen(f"http://127.0.0.1:{self.port}/seen", timeout=60) as response:
            found: dict[str, Any] = json.load(response)
        return found
