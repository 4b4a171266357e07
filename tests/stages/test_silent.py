"""A trial from which nothing comes for long is named; one that works is not."""

from collections.abc import Iterator
from dataclasses import replace
import os
from pathlib import Path
import re
import signal
from threading import Thread
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import ray
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.stages.cluster import Cluster
from raycalib.stages.lines.beats import BEATS, Beat, Beats, Doing
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned import silent
from raycalib.stages.tuned.silent import SilentTrials
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.tuned.tuning_run import run_tuning
from raycalib.storage import Location
from raycalib.tuning.settings import TuningSettings
from tests.stages.test_trial import SMALL
from tests.stages.test_tune import job_of, row, rows_and_model

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
LIMIT_S = 120
SILENT_FOR_S = 10.0


class Hall:
    """A callback with trials, signs of life and a clock that a test moves."""

    def __init__(self, jobs: list[TuneJob], monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.jobs, self.said = 0.0, jobs, list[str]()
        self.beats = Beats(lambda: self.now)
        monkeypatch.setattr(silent, "BEATS", self.beats)
        monkeypatch.setattr(silent, "lines_come", lambda: True)
        monkeypatch.setattr(silent, "say", self.said.append)
        self.callback = SilentTrials(jobs, 600, lambda: self.now)
        self.trials = [
            SimpleNamespace(trial_id=str(number), status="PENDING", config={"job": number})
            for number in range(len(jobs))
        ]

    def start(self, number: int) -> None:
        self.callback.on_trial_start(iteration=1, trials=self.trials, trial=self.trials[number])
        self.trials[number].status = "RUNNING"

    def beat(self, number: int, at: str) -> None:
        self.beats.take(self.jobs[number].key, Doing(at=at).text, f"12{number}", "10.0.0.2")

    def look(self, at: float) -> None:
        self.now = at
        self.callback.on_step_begin(iteration=1, trials=self.trials)


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
    jobs = [job_of(tmp_path, [row("train")], TuningSettings(lr=lr)) for lr in (1e-3, 1e-4)]
    return Hall([replace(job, cell=f"lr={job.settings.lr:g}") for job in jobs], monkeypatch)


def test_a_silent_trial_is_named_after_a_while_and_again_as_long_after_that(hall: Hall) -> None:
    hall.start(0)
    hall.start(1)
    for at in range(0, 2000, 10):
        if at <= 100:
            hall.now = at
            hall.beat(0, f"step {at}/400")
        hall.beat(1, "step 1/400")
        hall.look(at)
    what = "end it there (kill -9 120), and the trial goes on from its last checkpoint, which --status shows"
    assert hall.said == [
        f"  tune tiny oe lr=0.001: nothing has come from it for {waited} s (--ray.silent-for-s), step 100/400 was the "
        f"last; its process is 120 on 10.0.0.2: where it hangs, {what}"
        for waited in (600, 1200, 1800)
    ]
    hall.beat(0, "step 101/400")
    hall.look(2001)
    hall.look(2010)
    assert hall.said[3:] == ["  tune tiny oe lr=0.001: something comes from it again (step 101/400)"]


def test_what_another_process_said_is_not_of_the_one_that_took_the_trial_over(hall: Hall) -> None:
    hall.start(0)
    hall.beat(0, "step 5/400")
    hall.look(10)
    hall.trials[0].status = "PENDING"
    hall.look(20)
    hall.now = 500.0
    hall.start(0)
    for at in range(510, 1200, 10):
        hall.look(at)
    assert hall.said == [
        "  tune tiny oe lr=0.001: nothing has come from it for 600 s (--ray.silent-for-s), nor since its process took "
        "it over; Ray's dashboard shows that process"
    ]


def test_a_report_is_a_sign_of_life_and_those_that_wait_or_are_done_are_not_named(hall: Hall) -> None:
    hall.start(0)
    for at in range(0, 3000, 100):
        hall.look(at)
        hall.callback.on_trial_result(iteration=1, trials=hall.trials, trial=hall.trials[0], result={})
    hall.trials[0].status = "TERMINATED"
    for at in range(3000, 6000, 100):
        hall.look(at)
    assert hall.said == []


def test_where_no_lines_come_nothing_is_said(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silent, "lines_come", lambda: False)
    hall.start(0)
    for at in range(0, 3000, 100):
        hall.look(at)
    assert hall.said == []


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    ray.init(address="local", num_cpus=2, _temp_dir=str(tmp_path_factory.mktemp("r")), log_to_driver=True)
    yield Cluster(RaySettings(train_workers=1, silent_for_s=SILENT_FOR_S))
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("default")
def test_a_process_that_hangs_is_named_and_ended_as_said_its_trial_goes_on(
    tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    rows = rows_and_model(tmp_path, tiny_llama, monkeypatch)
    settings: dict[str, Any] = {"steps": 1500, "eval_every": 500, "checkpoint_every": 25, **SMALL}
    jobs = [job_of(tmp_path, rows, TuningSettings(lr=lr, **settings)) for lr in (1e-3, 2e-3)]
    hangs, works = (replace(job, cell=f"lr={job.settings.lr:g}") for job in jobs)
    said, heard = list[str](), set[float]()
    monkeypatch.setattr(silent, "say", said.append)

    def last(job: TuneJob, is_wanted: Any) -> Beat:
        deadline = time.monotonic() + LIMIT_S
        while not ((beat := BEATS.of(job.key)) and is_wanted(beat)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return beat

    def stop_one() -> None:
        pid = int(last(hangs, lambda beat: beat.doing.step >= 25).pid)
        assert any("ImplicitFunc" in part for part in psutil.Process(pid).cmdline())
        os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + LIMIT_S
        while not any(f"its process is {pid} on " in line for line in said) and time.monotonic() < deadline:
            heard.add(last(works, bool).heard_at)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)

    stopping = Thread(target=stop_one, daemon=True)
    stopping.start()
    result = run_tuning([hangs, works], Location(str(tmp_path / "out")), cluster)
    stopping.join(timeout=30)
    assert [line.partition(":")[0] for line in said] == [f"  tune {hangs.title}".partition(":")[0]] * len(said)
    assert said
    told = r"  tune tiny oe lr=0.001: nothing has come from it for \d+ s \(--ray.silent-for-s\), step \d+/1500 was "
    assert re.match(told, said[0])
    assert len(heard) > 1, "the other was at work meanwhile"
    assert set(result.tuned) == {hangs.key, works.key}
