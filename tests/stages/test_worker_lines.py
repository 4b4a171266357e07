"""What a worker says is shown by the driver at once, what else it prints is in the run's logs."""

import io
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest
from ray._private import ray_logging

from raycalib.console import Console
from raycalib.run_logs import RunLogs
from raycalib.stages.lines import worker_lines
from raycalib.stages.lines.beats import Beats, Doing
from raycalib.stages.lines.worker_lines import MARK, WorkerLines
from raycalib.storage import Location
from tests.jobs.processes import kill_family, wait_for

ROOT = Path(__file__).parents[2]
LIMIT_S = 60
DRIVER = """
import os
import sys
import time
import ray
from raycalib.stages.cluster import Cluster
from raycalib.stages.lines.progress import say
from raycalib.stages.settings import RaySettings
from raycalib.storage import Location

Cluster(RaySettings(address="local", temp_dir=sys.argv[1]), Location(sys.argv[2])).connect()

@ray.remote(max_retries=0)
def die():
    os._exit(1)

@ray.remote
def speak():
    print("of a library")
    print("of a library's log", file=sys.stderr)
    say("step 16 of 200 \\x1b[2J")
    time.sleep(3600)

try:
    ray.get(die.remote())
except ray.exceptions.WorkerCrashedError:
    pass
ray.get(speak.remote())
"""


def batch(*lines: str, is_err: bool = False, **more: Any) -> dict[str, Any]:
    return {"lines": list(lines), "pid": 7, "ip": "10.0.0.1", "is_err": is_err} | more


def marked(kind: str, text: str) -> str:
    return MARK + json.dumps({"kind": kind, "text": text})


@pytest.fixture
def taken(tmp_path: Path) -> tuple[WorkerLines, io.StringIO, RunLogs]:
    stream, logs = io.StringIO(), RunLogs()
    logs.keep_in(Location(str(tmp_path)))
    return WorkerLines(Console(stream), logs), stream, logs


def kept(place: Path) -> str:
    (path,) = (place / "logs").glob("*-workers.log")
    return path.read_text()


def test_lines_of_ours_are_shown_and_all_are_kept(taken: Any, tmp_path: Path) -> None:
    lines, stream, _ = taken
    lines.take(batch("loading", marked("say", "  tune m oe: 3 rows"), "done", actor_name="MapWorker"))
    lines.take(batch("Traceback (most recent call last):", is_err=True), ignore_prefix=True)
    assert stream.getvalue() == "  tune m oe: 3 rows\n"
    assert kept(tmp_path).splitlines() == [
        "MapWorker 7 10.0.0.1: loading",
        "MapWorker 7 10.0.0.1:   tune m oe: 3 rows",
        "MapWorker 7 10.0.0.1: done",
        "process 7 10.0.0.1: Traceback (most recent call last):",
    ]


def test_lines_of_several_stages_keep_their_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[tuple[str, str, str]]()

    class Keys(Console):
        def show(self, text: str, key: str = "") -> None:
            seen.append(("show", text, key))

        def end(self, text: str, key: str = "") -> None:
            seen.append(("end", text, key))

    lines = WorkerLines(Keys(io.StringIO()), RunLogs())
    told = io.StringIO()
    monkeypatch.setattr(worker_lines.sys, "stdout", told)
    worker_lines.tell("show", "step 1", "a")
    worker_lines.tell("end", "step 2", "b")
    worker_lines.tell("show", "step 3")
    lines.take(batch(*told.getvalue().splitlines()))
    assert seen == [("show", "step 1", "a"), ("end", "step 2", "b"), ("show", "step 3", "")]


def test_to_follow_again_while_stages_are_at_work_loses_no_line(taken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, _, _ = taken
    dispatcher = ray_logging.global_worker_stdstream_dispatcher
    lines.follow(others_are_shown=False)
    try:
        monkeypatch.setattr(dispatcher, "remove_handler", lambda name: pytest.fail(f"{name} is away for a moment"))
        lines.follow(others_are_shown=False)
        assert (worker_lines.OUR_HANDLER, lines.take) in dispatcher.handlers
    finally:
        monkeypatch.undo()
        lines.leave()


def test_of_the_autoscalers_state_only_events_are_kept(taken: Any, tmp_path: Path) -> None:
    lines, _, _ = taken
    lines.take(batch("======== Autoscaler status ========", pid="autoscaler"))
    lines.take(batch(":event_summary:Resized to 4 CPUs.", pid="autoscaler"))
    told = kept(tmp_path)
    assert "Resized to 4 CPUs." in told
    assert "Autoscaler status" not in told


def test_in_a_ray_that_others_started_their_lines_go_on_to_where_they_went(
    taken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, stream, _ = taken
    printed = list[str]()
    monkeypatch.setattr(worker_lines, "RAYS_PRINT", lambda data, ignore_prefix: printed.extend(data["lines"]))
    lines.follow(others_are_shown=True)
    try:
        ray_logging.global_worker_stdstream_dispatcher.emit(batch("theirs", marked("say", "ours")))
    finally:
        lines.leave()
    ray_logging.global_worker_stdstream_dispatcher.emit(batch("later"))
    assert printed == ["theirs"]
    assert stream.getvalue() == "ours\n"


def test_signs_of_life_are_taken_and_neither_shown_nor_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, logs, beats, told = io.StringIO(), RunLogs(), Beats(), io.StringIO()
    logs.keep_in(Location(str(tmp_path)))
    monkeypatch.setattr(worker_lines.sys, "stdout", told)
    worker_lines.tell("beat", Doing(at="step 3/9").text, "k")
    WorkerLines(Console(stream), logs, beats).take(batch("before", *told.getvalue().splitlines()))
    beat = beats.of("k")
    assert beat is not None
    assert (beat.doing.at, beat.pid, beat.ip) == ("step 3/9", "7", "10.0.0.1")
    assert stream.getvalue() == ""
    assert kept(tmp_path).splitlines() == ["process 7 10.0.0.1: before"]


@pytest.mark.parametrize(
    "line",
    ['{"kind": "beat", "text": "{}", "key": "k"}', "{", "[]", '{"kind": "quit", "text": "x"}', '{"kind": "say"}', "7"],
)
def test_what_only_looks_like_a_line_of_ours_is_kept(line: str, taken: Any, tmp_path: Path) -> None:
    lines, stream, _ = taken
    lines.take(batch(MARK + line))
    assert stream.getvalue() == ""
    assert MARK + line in kept(tmp_path)


def test_a_loss_is_said_once_a_minute_with_the_place_of_the_logs(taken: Any, tmp_path: Path) -> None:
    lines, stream, logs = taken
    death = "A worker died or was killed while executing a task by an unexpected system error."
    for _ in range(3):
        lines.take(batch(death, pid="raylet"))
    lines.take(batch("The node with node id: 1f has been marked dead because", pid="raylet"))
    assert stream.getvalue().splitlines() == [
        "  a worker died; what it had is done again a bounded number of times; the cause is in " + logs.where,
        "  a node of the cluster is gone; what its workers had is done again; the cause is in " + logs.where,
    ]
    assert kept(tmp_path).count(death) == 3


def test_the_last_lines_are_waited_for(taken: Any) -> None:
    lines, _, _ = taken
    lines.take(batch(marked("end", "  tune m oe: 5 steps")))
    lines.wait_for(["  tune m oe:"], limit_s=60)
    lines.wait_for(["  tune m choice:"], limit_s=0.1)  # lost on its way: the run goes on


@pytest.mark.ray
@pytest.mark.slow
def test_on_ray_while_the_worker_works(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("r")
    log, out = place / "log", place / "out"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(place), str(out)], cwd=ROOT, stdout=file, stderr=file, env=environment
        )
    try:
        wait_for(lambda: "step 16 of 200" in log.read_text(errors="replace"), process, log, LIMIT_S)
        wait_for(lambda: "of a library's log" in kept(out), process, log, LIMIT_S)
        wait_for(lambda: "a worker died" in log.read_text(errors="replace"), process, log, LIMIT_S)
    finally:
        kill_family(process)
    shown = log.read_text(errors="replace")
    assert "of a library" not in shown
    assert "pid=" not in shown
    assert "step 16 of 200 \\x1b[2J" in shown
    assert f"the cause is in {out}/logs" in shown
