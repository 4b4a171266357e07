"""Finding a command's processes, waiting for a moment of it, and kill -9 of it with all that it started."""

from collections.abc import Callable
from pathlib import Path
import subprocess
import time

import psutil


def processes_below(root: psutil.Process, kind: str) -> list[psutil.Process]:
    """The process's descendants of a kind: Ray names its workers by their actor's class and method."""
    found = []
    for member in root.children(recursive=True):
        try:
            if any(kind in part for part in member.cmdline()):
                found.append(member)
        except psutil.Error:  # gone since
            continue
    return found


def kill_family(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and its descendants, and waits until they are gone."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=30)
    process.wait(timeout=30)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[bytes], log: Path, limit_s: float) -> None:
    """Waits until the condition holds; fails where the command ends before, with the end of its log."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert process.poll() is None, f"ended before the moment came:\n{log.read_text(errors='replace')[-3000:]}"
        assert time.monotonic() < deadline, "the moment did not come"
        time.sleep(0.01)
