"""The table of trials on a terminal, from what trials say and what Tune knows of them."""

from collections.abc import Callable
from dataclasses import replace
import json
import os
from pathlib import Path
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from raycalib.console import Console
from raycalib.run_logs import RunLogs
from raycalib.stages.lines.beats import Beats, Doing
from raycalib.stages.lines.worker_lines import MARK, WorkerLines
from raycalib.stages.tuned import live_table
from raycalib.stages.tuned.live_table import LiveTable
from raycalib.stages.tuned.stops import ask_to_stop
from raycalib.stages.tuned.trial_files import FAILURE
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.trial import FAILED
from raycalib.tuning.settings import TuningSettings
from tests.screen import open_terminal, read_all, screen_of
from tests.stages.test_tune import job_of, row

COLUMNS = 150


class Stage:
    """A pseudo-terminal with a console, the lines of workers, and a callback, all by one clock."""

    def __init__(self, jobs: list[TuneJob], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        self.now, self.jobs = 0.0, jobs
        ours, theirs = open_terminal(COLUMNS)
        self.ours, self.stream = ours, os.fdopen(theirs, "w")
        self.console, beats = Console(self.stream, self.clock), Beats(self.clock)
        monkeypatch.setattr(live_table, "CONSOLE", self.console)
        monkeypatch.setattr(live_table, "BEATS", beats)
        self.lines = WorkerLines(self.console, RunLogs(), beats)
        self.callback = LiveTable(jobs, self.clock)
        self.trials = [
            SimpleNamespace(trial_id=str(number), status="PENDING", config={"job": number})
            for number in range(len(jobs))
        ]

    def clock(self) -> float:
        return self.now

    def tell(self, kind: str, text: str, key: str) -> None:
        line = MARK + json.dumps({"kind": kind, "text": text, "key": key})
        self.lines.take({"lines": [line], "pid": 7, "ip": "10.0.0.1", "is_err": False})

    def beat(self, number: int, **figures: Any) -> None:
        job = self.jobs[number]
        self.tell("show", f"  tune {job.title}: {figures}", f"  tune {job.title}:")
        self.tell("beat", Doing(**{"at": "x", "steps": 400} | figures).text, job.key)

    def look(self, at: float) -> None:
        self.now = at
        self.callback.on_step_begin(iteration=1, trials=self.trials)

    def seen(self) -> list[str]:
        """What is on the screen; nothing comes after it."""
        self.stream.close()
        return screen_of(read_all(self.ours), COLUMNS)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Stage]:
    def stage(n: int) -> Stage:
        rows, settings = [row("train")], TuningSettings(steps=400)
        jobs = [job_of(tmp_path, rows, replace(settings, lr=10.0**-power)) for power in range(2, 2 + n)]
        return Stage([replace(job, cell=f"lr={job.settings.lr:g}") for job in jobs], monkeypatch)

    return stage


def test_trials_at_work_are_rows_and_their_lines_are_not_drawn(make: Callable[[int], Stage]) -> None:
    stage = make(5)
    for trial in stage.trials[:4]:
        trial.status = "RUNNING"
    stage.beat(0, step=100, loss=1.5, val_nll=0.75, best_nll=0.625, tokens_per_s=1000.0, left_s=60.0)
    stage.beat(1, at="loading the model")
    stage.look(1)
    stage.beat(2, step=400, best_nll=0.5, is_over=True)
    stage.trials[2].status = "TERMINATED"
    stage.tell("end", "  tune tiny oe lr=0.0001: 400 steps", "  tune tiny oe lr=0.0001:")
    stage.callback.on_trial_result(
        iteration=1, trials=stage.trials, trial=stage.trials[3], result={FAILED: stage.jobs[3].key}
    )
    stage.trials[3].status = "TERMINATED"
    stage.beat(0, step=200, loss=1.25, val_nll=0.5625, best_nll=0.5625, tokens_per_s=1000.0, left_s=40.0)
    stage.look(20)
    keys = [job.key[:8] for job in stage.jobs]
    assert stage.seen() == [
        "  tune tiny oe lr=0.0001: 400 steps",
        "  trial     combo    title                  step   loss  val NLL  tokens/s  left",
        f"  {keys[0]}  tiny/oe  lr=0.01             200/400  1.250   0.5625     1,000  40 s",
        f"  {keys[1]}  tiny/oe  lr=0.001  loading the model",
        # A step takes 0.2 s; 200, 400 and 400 of them are left for two at once.
        "  2 at work, 1 finished, 1 failed, 1 waiting · 20 s, about 2 min left · "
        "least val NLL 0.5000, tiny/oe lr=0.0001",
    ]


def test_what_became_of_one_that_has_ended_its_files_say(make: Callable[[int], Stage]) -> None:
    stage = make(4)
    stage.jobs[0].place.write_json(FAILURE, {"error": "no", "run": "r"})
    stage.jobs[1].place.write_json("manifest.json", {})
    ask_to_stop(stage.jobs[2].place)
    for trial in stage.trials[:3]:
        trial.status = "TERMINATED"
        stage.callback.on_trial_complete(iteration=1, trials=stage.trials, trial=trial)
    stage.callback.on_trial_error(iteration=1, trials=stage.trials, trial=stage.trials[3])
    stage.look(1)
    assert stage.seen()[-1] == "  1 finished, 2 failed, 1 stopped · 1 s"


def test_it_is_drawn_once_a_second_and_gone_at_the_end(make: Callable[[int], Stage]) -> None:
    stage = make(2)
    stage.trials[0].status = "RUNNING"
    for tenth in range(1, 51):
        stage.look(tenth / 10)
    stage.console.end_table()
    stage.console.say("sweep: 2 trials")
    stage.stream.close()
    stream = read_all(stage.ours)
    assert 5 <= stream.count("1 at work") <= 6
    assert screen_of(stream, COLUMNS) == ["sweep: 2 trials", ""]


def test_one_job_alone_keeps_its_line(make: Callable[[int], Stage]) -> None:
    stage = make(1)
    stage.trials[0].status = "RUNNING"
    stage.beat(0, step=100)
    stage.look(1)
    (line,) = stage.seen()
    assert line.startswith("  tune tiny oe lr=0.01: {'step': 100}")


def test_tune_can_pickle_it(make: Callable[[int], Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make(2)
    stage.trials[0].status = "RUNNING"
    stage.beat(0, step=100, left_s=5.0)
    stage.look(1)
    assert pickle.loads(pickle.dumps(LiveTable(stage.jobs))).jobs == stage.jobs
    stage.callback.clock = float
    assert pickle.loads(pickle.dumps(stage.callback)).__dict__ == stage.callback.__dict__
    stage.stream.close()
    read_all(stage.ours)
