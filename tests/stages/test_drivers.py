"""Two commands that would tune the same trials in one directory."""

import json
import os
from pathlib import Path
import socket
import subprocess
import sys
from threading import Event, Thread
import time

import pytest

from raycalib.errors import ConfigError
from raycalib.stages.tuned import drivers
from raycalib.stages.tuned.drivers import FOLDER, sole_driver
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.storage import Location
from raycalib.tuning.settings import TuningSettings
from tests.stages.test_tune import job_of, row


@pytest.fixture
def jobs(tmp_path: Path) -> list[TuneJob]:
    return [job_of(tmp_path, [row("train")], TuningSettings(steps=steps)) for steps in (5, 6)]


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    monkeypatch.setattr(drivers, "BEAT_S", 0.05)
    monkeypatch.setattr(drivers, "SILENT_S", 1.5)
    return Location(str(tmp_path / "out"))


def leave(out: Location, job: TuneJob, host: str, pid: int, beat: int = 3) -> None:
    """What another command has left."""
    (out / FOLDER).write_json("other.json", {"host": host, "pid": pid, "keys": [job.key], "beat": beat})


def test_a_second_command_is_refused_while_the_first_one_lives(jobs: list[TuneJob], out: Location) -> None:
    begun, over = Event(), Event()

    def first() -> None:
        with sole_driver(jobs, out):
            begun.set()
            over.wait(30)

    working = Thread(target=first)
    working.start()
    assert begun.wait(30)
    (name,) = (out / FOLDER).names()
    path = out.local_path / FOLDER / name
    deadline = time.monotonic() + 30
    while json.loads(path.read_text())["beat"] == 0:
        assert time.monotonic() < deadline, "it gives signs of life"
        time.sleep(0.02)
    over.set()
    working.join(30)
    assert not (out.local_path / FOLDER).exists(), "nothing is left"


def test_one_on_another_machine_is_heard(
    jobs: list[TuneJob], out: Location, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(out, jobs[1], "elsewhere", 7)
    lives = Event()

    def live() -> None:
        number = 3
        while not lives.wait(0.1):
            number += 1
            leave(out, jobs[1], "elsewhere", 7, number)

    living = Thread(target=live)
    living.start()
    try:
        with (
            pytest.raises(
                ConfigError, match=r"out: another command \(process 7 on elsewhere\) is tuning tiny oe there"
            ),
            sole_driver(jobs, out),
        ):
            pass
    finally:
        lives.set()
        living.join()
    assert "may live: listening for it, 1.5 s at most" in capsys.readouterr().out
    assert (out / FOLDER).names() == ["other.json"], "it is left at work"


def test_one_that_was_killed_elsewhere_is_silent_and_its_trials_are_taken_over(
    jobs: list[TuneJob], out: Location
) -> None:
    leave(out, jobs[0], "elsewhere", 7)
    began = time.monotonic()
    with sole_driver(jobs, out):
        assert time.monotonic() - began >= 1.5
        assert len((out / FOLDER).names()) == 1


def test_one_that_was_killed_here_is_not_waited_for(jobs: list[TuneJob], out: Location) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        leave(out, jobs[0], socket.gethostname(), pid)
        began = time.monotonic()
        with sole_driver(jobs, out):
            assert time.monotonic() - began < 1.0


def test_others_trials_are_nobodys_business(jobs: list[TuneJob], out: Location) -> None:
    leave(out, jobs[0], "elsewhere", 7)
    began = time.monotonic()
    with sole_driver(jobs[1:], out):
        assert time.monotonic() - began < 1.0
        assert len((out / FOLDER).names()) == 2
    assert (out / FOLDER).names() == ["other.json"]
