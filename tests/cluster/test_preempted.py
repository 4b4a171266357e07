"""The watcher of spot machines against a metadata service that tests speak for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import os
from pathlib import Path
import subprocess
import sys
import threading
from typing import Any
from unittest.mock import MagicMock

import pytest
from ray.scripts.scripts import cli

from cluster import preempted
from tests.cluster.cluster_files import CLUSTER

NODE = "ab" * 28
TOKEN = "metadata-session"


class Metadata:
    """What the service has to say, and what it was asked."""

    def __init__(self) -> None:
        self.aws_end: str | None = None
        self.gcp = "FALSE"
        self.asked: list[str] = []
        self.address = ""

    def answer(self, method: str, path: str, headers: Any) -> tuple[int, str]:
        """Status and body, as the providers document them."""
        self.asked.append(f"{method} {path}")
        if (method, path) == ("PUT", "/latest/api/token"):
            return (200, TOKEN) if headers["X-aws-ec2-metadata-token-ttl-seconds"] else (400, "")
        if path == "/latest/meta-data/spot/instance-action":
            if headers["X-aws-ec2-metadata-token"] != TOKEN:
                return 401, ""
            return (404, "") if self.aws_end is None else (200, f'{{"action": "terminate", "time": "{self.aws_end}"}}')
        if path == "/computeMetadata/v1/instance/preempted":
            return (200, self.gcp) if headers["Metadata-Flavor"] == "Google" else (403, "")
        return 404, ""


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    state = Metadata()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            status, body = state.answer(self.command, self.path, self.headers)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_PUT = _answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def later(seconds: int) -> str:
    """That time from now on, as EC2 writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_machine_that_stays_has_no_end(metadata: Metadata) -> None:
    now = datetime.now(UTC)
    assert preempted.aws_seconds_left(metadata.address, now) is None
    assert preempted.gcp_seconds_left(metadata.address, now) is None
    assert metadata.asked == [
        "PUT /latest/api/token",
        "GET /latest/meta-data/spot/instance-action",
        "GET /computeMetadata/v1/instance/preempted",
    ]


def test_a_service_that_does_not_answer_ends_nothing() -> None:
    now = datetime.now(UTC)
    assert preempted.aws_seconds_left("http://127.0.0.1:9", now) is None
    assert preempted.gcp_seconds_left("http://127.0.0.1:9", now) is None


def test_seconds_that_are_left(metadata: Metadata) -> None:
    metadata.aws_end, metadata.gcp = "2026-11-29T12:02:00Z", "TRUE"
    noon = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
    assert preempted.aws_seconds_left(metadata.address, noon) == 120
    assert preempted.aws_seconds_left(metadata.address, noon + timedelta(minutes=3)) == 1
    assert preempted.gcp_seconds_left(metadata.address, noon) == 25


def process(place: Path, number: int, *words: str) -> None:
    """A process as /proc shows it."""
    (place / str(number)).mkdir()
    (place / str(number) / "cmdline").write_bytes("\0".join(words).encode() + b"\0")


def test_the_node_is_that_of_the_raylet(tmp_path: Path) -> None:
    assert preempted.this_node(tmp_path) is None
    process(tmp_path, 1, "bash", f"--node_id={NODE}", "--gcs-address=1.2.3.4:1")
    process(tmp_path, 20, "/ray/core/src/ray/gcs/gcs_server", f"--node-id={NODE}")
    (tmp_path / "30").mkdir()
    assert preempted.this_node(tmp_path) is None
    arguments = (
        "--raylet_socket_name=/tmp/r",
        f"--node_id={NODE}",
        "--x",
        "--labels={}",
        "--gcs-address=10.77.0.4:6379",
    )
    process(tmp_path, 40, "/ray/core/src/ray/raylet/raylet", *arguments)
    assert preempted.this_node(tmp_path) == (NODE, "10.77.0.4:6379")


@pytest.fixture
def fake_ray(tmp_path: Path) -> dict[str, str]:
    """An environment whose `ray` notes its arguments, and refuses the first time."""
    program = tmp_path / "ray"
    program.write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/told\n[ "$(wc -l < {tmp_path}/told)" -gt 1 ]\n')
    program.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def watcher(cloud: str, metadata: Metadata, environment: dict[str, str], place: Path) -> subprocess.Popen[str]:
    """The script as a machine runs it, but for where processes are looked for."""
    start = (
        f"import sys; sys.argv[0] = 'preempted.py'; sys.path.insert(0, {str(CLUSTER)!r}); import preempted, pathlib\n"
    )
    start += f"found = preempted.this_node(pathlib.Path({str(place)!r})); preempted.this_node = lambda: found\n"
    command = [sys.executable, "-S", "-c", start + "raise SystemExit(preempted.main())", cloud]
    command += ["--metadata", metadata.address, "--every", "0.05"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("cloud", "least", "most"), [("aws", 100, 120), ("gcp", 25, 25)])
def test_ray_is_told_once_the_provider_has_announced_it(
    cloud: str, least: int, most: int, metadata: Metadata, fake_ray: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "proc").mkdir()
    process(tmp_path / "proc", 40, "raylet", f"--node_id={NODE}", "--gcs-address=10.77.0.4:6379")
    with watcher(cloud, metadata, fake_ray, tmp_path / "proc") as running:
        try:
            while len(metadata.asked) < 6:
                assert running.poll() is None
            assert not (tmp_path / "told").exists()
            metadata.aws_end, metadata.gcp = later(120), "TRUE"
            assert running.wait(timeout=30) == 0
        finally:
            running.kill()
    told = [line.split() for line in (tmp_path / "told").read_text().splitlines()]
    assert len(told) == 2  # refused once, told again
    flags = dict(zip(told[-1][1::2], told[-1][2::2], strict=False))
    assert told[-1][0] == "drain-node"
    assert (flags["--address"], flags["--node-id"]) == ("10.77.0.4:6379", NODE)
    assert flags["--reason"] == "DRAIN_NODE_REASON_PREEMPTION"
    assert least <= int(told[-1][-1]) <= most
    assert told[-1][-2] == "--deadline-remaining-seconds"


def test_ray_knows_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: called.append(command) or MagicMock(returncode=0))
    assert preempted.drain((NODE, "10.77.0.4:6379"), 25)
    options = cli.commands["drain-node"].make_context("drain-node", called[0][2:]).params
    assert (options["node_id"], options["address"]) == (NODE, "10.77.0.4:6379")
    assert options["reason"] == "DRAIN_NODE_REASON_PREEMPTION"
    assert options["deadline_remaining_seconds"] == 25
