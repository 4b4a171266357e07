"""A Ray head with a token, for jobs that join a cluster or outlive their drivers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
import os
from pathlib import Path
import socket
import subprocess
import sys
import time

import psutil

RAY = Path(sys.executable).with_name("ray")
STARTS_WITHIN_S = 120


@dataclass(frozen=True)
class RayHead:
    """A running head: the environment of those who know its token, its address, its dashboard's and its process."""

    environment: dict[str, str]
    address: str
    dashboard: str
    process: psutil.Process


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ray_head(
    folder: Path,
    n_cpus: int = 2,
    more: Mapping[str, str] = os.environ,
    *,
    flags: Sequence[str] = (),
    port: int | None = None,
    within: Sequence[str] = (),
) -> Iterator[RayHead]:
    """Starts a head of so many CPUs whose files lie in the folder, and ends it with all its processes.

    ``more`` is in its environment beside that of the test, ``flags`` are more of ``ray start``; it listens at ``port``,
    any free one if that is not given. ``within`` begins its command, such as ``ip netns exec NAME``.
    """
    token = folder / "token"
    token.write_text("a" * 64)
    port, dashboard = port or free_port(), free_port()
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    environment |= {k: v for k, v in more.items() if k != "RAY_ADDRESS"}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    environment["PATH"] = f"{RAY.parent}{os.pathsep}{environment['PATH']}"  # a job's ``python``
    command = [*within, RAY, "start", "--head", "--block", f"--port={port}", f"--dashboard-port={dashboard}"]
    command += ["--dashboard-host=127.0.0.1", f"--num-cpus={n_cpus}", f"--temp-dir={folder}", "--disable-usage-stats"]
    command += [f"--dashboard-agent-listen-port={free_port()}", *flags]
    with (folder / "head.log").open("wb") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    process = psutil.Process(head.pid)
    try:
        _wait_until_it_answers(f"http://127.0.0.1:{dashboard}", environment, head, folder, within)
        yield RayHead(environment, _address(folder), f"http://127.0.0.1:{dashboard}", process)
    finally:
        for member in [*process.children(recursive=True), process]:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        head.wait(timeout=30)


def _wait_until_it_answers(
    url: str, environment: dict[str, str], head: subprocess.Popen[bytes], folder: Path, within: Sequence[str]
) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    # Its agent, which starts jobs, is there later than its dashboard, which lists them.
    ask = [*within, RAY, "job", "submit", "--no-wait", "--address", url, "--", "true"]
    while subprocess.run(ask, env=environment, capture_output=True, timeout=60).returncode or not _address(folder):
        ended = head.poll() is not None
        assert not ended, (folder / "head.log").read_text()
        assert time.monotonic() < deadline, (folder / "head.log").read_text()
        time.sleep(0.5)


def _address(folder: Path) -> str:
    written = folder / "ray_current_cluster"
    return written.read_text().strip() if written.is_file() else ""
