"""The states of jobs that trials tune, and the metric that is kept of them."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raycalib.stages.boards import ray_metrics
from raycalib.stages.tuned import job_states
from raycalib.stages.tuned.job_end import JobEnd
from raycalib.stages.tuned.job_states import ShownJobs, states_of
from raycalib.stages.tuned.stops import ask_to_stop
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers.trial import JOB, STOPPED
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.trunk import Trunk
from tests.stages.test_tune import job_of, row


@pytest.fixture
def family(tmp_path: Path) -> list[TuneJob]:
    job = job_of(tmp_path, [row("train")], TuningSettings(steps=5))
    return [replace(job, key=key) for key in ("a", "b", "c")]


@pytest.mark.parametrize(
    ("status", "begun", "failed", "is_over", "expected"),
    [
        ("PENDING", "", "", False, "waiting waiting waiting"),
        ("RUNNING", "", "", False, "running waiting waiting"),
        ("RUNNING", "b", "", False, "finished running waiting"),
        ("RUNNING", "a", "b", False, "finished failed running"),
        ("PENDING", "b", "", False, "finished waiting waiting"),  # its process ended, and it waits for another
        ("RUNNING", "ab", "", True, "finished stopped stopped"),
        ("PENDING", "", "", True, "stopped stopped stopped"),
        ("TERMINATED", "ab", "b", False, "finished failed finished"),
        ("ERROR", "ab", "", True, "finished failed failed"),
    ],
)
def test_a_familys_jobs_are_as_far_as_its_trial_has_told(
    family: list[TuneJob], status: str, begun: str, failed: str, is_over: bool, expected: str
) -> None:
    ended: dict[str, JobEnd] = dict.fromkeys(failed, "failed")
    assert " ".join(states_of(family, status, begun, ended, is_over).values()) == expected


def shown_by(callback: ShownJobs, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """The counts by state, one for each time that they are set."""
    sets: list[dict[str, float]] = []

    def set_gauge(metric: Any, value: float, *, sweep: str, state: str) -> None:
        assert (metric, sweep) == (ray_metrics.TRIALS, "my-sweep")
        if state == "waiting":
            sets.append({})
        sets[-1][state] = value

    monkeypatch.setattr(job_states.ray_metrics, "set_gauge", set_gauge)
    return sets


def test_states_are_shown_again_every_few_seconds_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [replace(job_of(tmp_path, [row("train")]), key=f"k{n}") for n in range(5)]
    now, failed = [0.0], set[str]()
    callback = ShownJobs(jobs, failed, "my-sweep", clock=lambda: now[0])
    sets = shown_by(callback, monkeypatch)
    trials = [SimpleNamespace(config={"job": number}, status="PENDING") for number in range(4)]  # the fifth is to come

    def look(statuses: Collection[str], at: float) -> None:
        now[0] = at
        for trial, status in zip(trials, statuses, strict=True):
            trial.status = status
        callback.on_step_begin(iteration=1, trials=trials)

    look(["PENDING"] * 4, 0)
    look(["RUNNING"] * 4, 4)  # too soon
    failed.add("k3")
    look(["TERMINATED", "RUNNING", "PENDING", "TERMINATED"], 5)
    assert sets == [
        {"waiting": 5, "running": 0, "finished": 0, "failed": 0, "stopped": 0},
        {"waiting": 2, "running": 1, "finished": 1, "failed": 1, "stopped": 0},
    ]
    callback.on_experiment_end(trials=trials)
    assert sets[2:] == [{"waiting": 0, "running": 0, "finished": 1, "failed": 1, "stopped": 3}]


def test_a_trial_that_reports_a_later_job_has_finished_those_before(family: list[TuneJob]) -> None:
    trunk = Trunk(place=family[0].place, key="t")
    jobs = [replace(job, trunk=trunk) for job in family]
    callback = ShownJobs(jobs, set(), "s")
    trial = SimpleNamespace(config={"job": 0}, status="RUNNING")
    callback.on_trial_result(iteration=1, trials=[trial], trial=trial, result={JOB: "b", "val_nll": 0.5})
    assert callback.states([trial]) == {"a": "finished", "b": "running", "c": "waiting"}
    callback.on_trial_result(iteration=2, trials=[trial], trial=trial, result={STOPPED: "b"})
    assert callback.states([trial]) == {"a": "finished", "b": "stopped", "c": "running"}
    ask_to_stop(family[2].place)
    trial.status = "TERMINATED"
    callback.on_trial_complete(iteration=3, trials=[trial], trial=trial)
    assert callback.states([trial]) == {"a": "stopped", "b": "stopped", "c": "stopped"}, "as the files say"
