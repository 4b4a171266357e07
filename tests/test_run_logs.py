"""Standard error is set aside while a job runs: by file descriptor, since C++ writes there too."""

import os
from pathlib import Path
import subprocess
import sys
import textwrap

import fsspec
import pytest

from raycalib.run_logs import RunLogs
from raycalib.storage import Location

ROOT = Path(__file__).parents[1]
JOB = """
import logging, os, sys
from raycalib.cli import run_job
from raycalib.console import CONSOLE
from raycalib.errors import DataError
from raycalib.run_logs import RUN_LOGS
from raycalib.storage import Location

def main(arguments):
    logging.getLogger("ray.data").warning("before the run has a directory")
    os.write(2, b"[E 1 1] core_worker.cc:1: from C++\\n")
    {keep}
    logging.getLogger("transformers").warning("later \\x1b[2J")
    CONSOLE.say("ours")
    {end}

run_job(main, quiet=True)
"""
KEEP = "RUN_LOGS.keep_in(Location(arguments[0]))"


def run(out: Path, keep: str = KEEP, end: str = "") -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(JOB).format(keep=keep, end=end)
    command = [sys.executable, "-c", code, str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def kept(out: Path) -> str:
    (path,) = (out / "logs").glob("*-driver.log")
    return path.read_text()


def test_the_terminal_has_ours_and_the_directory_the_rest(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ours\n", "")
    assert kept(tmp_path).splitlines() == [
        "before the run has a directory",
        "[E 1 1] core_worker.cc:1: from C++",
        "later \\x1b[2J",
    ]


def test_an_error_of_the_user_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, end="raise DataError('questions: no rows')")
    assert (done.returncode, done.stderr) == (2, "error: questions: no rows\n")


def test_an_error_of_ours_is_seen_whole(tmp_path: Path) -> None:
    done = run(tmp_path, end="raise KeyError('a bug')")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "KeyError: 'a bug'" in done.stderr
    done = run(tmp_path / "none", keep="", end="raise KeyError('a bug')")
    assert done.stderr.startswith("before the run has a directory"), "what no directory took may say why"
    assert not (tmp_path / "none").exists()


def test_a_run_that_does_nothing_leaves_nothing(tmp_path: Path) -> None:
    done = run(tmp_path / "none", keep="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ours\n", "")
    assert not (tmp_path / "none").exists()


def test_a_closed_standard_error_is_no_error(tmp_path: Path) -> None:
    code = textwrap.dedent(JOB).format(keep=KEEP, end="").replace("os.write(2, b", "str(b")
    command = 'exec "$0" -c "$1" "$2" 2>&-'
    done = subprocess.run(["sh", "-c", command, sys.executable, code, str(tmp_path)], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"ours\n")


def test_what_workers_print_is_kept_printable(tmp_path: Path) -> None:
    logs = RunLogs()
    logs.of_workers("early 1", ["nobody asked"])
    logs.keep_in(Location(str(tmp_path)))
    assert logs.where == str(tmp_path / "logs")
    logs.of_workers("MapWorker 12", ["one", "two \x1b[31m"])
    logs.close()
    (path,) = (tmp_path / "logs").glob("*-workers.log")
    assert path.read_text() == "MapWorker 12: one\nMapWorker 12: two \\x1b[31m\n"
    assert logs.where == "Ray's logs"


def test_on_an_object_store_they_are_copied_at_the_end(tmp_path: Path) -> None:
    logs = RunLogs()
    logs.keep_in(Location("memory://run-logs"))
    logs.of_workers("MapWorker 12", ["one"])
    assert not Location("memory://run-logs/logs").names()
    logs.close()
    (name,) = Location("memory://run-logs/logs").names()
    assert Location("memory://run-logs/logs").read_bytes(name) == b"MapWorker 12: one\n"
    fsspec.filesystem("memory").rm("/run-logs", recursive=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_left_to_the_stage_that_needs_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    logs = RunLogs()
    logs.keep_in(Location(str(tmp_path)))
    logs.of_workers("MapWorker 12", ["one"])
    logs.close()
    tmp_path.chmod(0o700)
    assert not list(tmp_path.iterdir())
