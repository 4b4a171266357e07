"""Trials as runs of trackers: what each is told, and what a tracker that fails costs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
import pickle
import threading
import time
from typing import Any

import pytest

from raycalib.stages.boards.trackers import tracking
from raycalib.stages.boards.trackers.tracked import EndState, TrackedTrial, tracked
from raycalib.stages.boards.trackers.tracking import TrackedRuns, TrackerThread, Tracking
from raycalib.stages.tuned.trial_files import TRAINING
from raycalib.storage import Location
from tests.stages.test_tune import job_of, row

KEY = "sk-planted-7f3a9c1e5b"


@dataclass
class Kept:
    """A tracker in memory; ``there`` are the steps of runs of an earlier command, by key."""

    there: Mapping[str, Collection[int]] = field(default_factory=dict)
    told: list[tuple[Any, ...]] = field(default_factory=list)

    def begin(self, trial: TrackedTrial) -> Collection[int]:
        self.told.append(("begin", trial.key))
        return self.there.get(trial.key, ())

    def add(self, key: str, step: int, figures: Mapping[str, float]) -> None:
        self.told.append((key, step, dict(figures)))

    def end(self, key: str, state: EndState, best: Mapping[str, float]) -> None:
        self.told.append(("end", key, state, dict(best)))

    def close(self) -> None:
        self.told.append(("close",))


def trial_in(folder: Path, key: str = "a") -> TrackedTrial:
    return TrackedTrial(
        key=key, title=f"tiny oe {key}", place=Location(str(folder / key)), hyperparameters={"lr": 1e-3}
    )


def left_by(trial: TrackedTrial) -> TrackedTrial:
    history = [{"step": 5.0, "val_nll": 0.7, "val_auroc": None}, {"step": 10.0, "val_nll": 0.6, "val_ece": 0.1}]
    trial.place.write_json(TRAINING, {"best_step": 10, "best_nll": 0.6, "history": history})
    return trial


def test_each_step_is_told_once_and_what_was_not_told_of_comes_with_the_end(tmp_path: Path) -> None:
    kept, trial = Kept(), left_by(trial_in(tmp_path))
    runs = TrackedRuns(kept)
    for _ in range(2):  # a process that began again reports it again
        runs.evaluated(trial, {"step": 10.0, "val_nll": 0.6, "val_ece": 0.1, "job_key": "a", "time_total_s": 4.0})
    for _ in range(2):
        runs.ended(trial, "finished")
    runs.ended(trial, "failed")
    runs.close()
    assert kept.told == [
        ("begin", "a"),
        ("a", 10, {"val_nll": 0.6, "val_ece": 0.1}),
        ("a", 5, {"val_nll": 0.7}),
        ("end", "a", "finished", {"best/step": 10.0, "best/nll": 0.6, "best/ece": 0.1}),
        ("close",),
    ]


def test_a_run_of_an_earlier_command_goes_on_where_it_was(tmp_path: Path) -> None:
    kept, trial = Kept(there={"a": {5}}), left_by(trial_in(tmp_path))
    runs = TrackedRuns(kept)
    runs.ended(trial, "finished")
    assert [each[:2] for each in kept.told] == [("begin", "a"), ("a", 10), ("end", "a")]


def test_states_of_trials_that_leave_no_history(tmp_path: Path) -> None:
    kept, runs = Kept(), TrackedRuns(Kept())
    runs.tracker = kept
    begun, failed, never, lost = (trial_in(tmp_path, key) for key in ("begun", "failed", "never", "lost"))
    runs.evaluated(begun, {"step": 1, "val_nll": 0.5})
    runs.ended(failed, "failed")
    runs.ended(never, "stopped")
    runs.ended(lost, "finished")  # its files are gone
    runs.close()
    assert [each for each in kept.told if each[0] == "end"] == [
        ("end", "failed", "failed", {}),
        ("end", "lost", "finished", {}),
        ("end", "begun", "stopped", {}),
    ]
    assert ("begin", "never") not in kept.told


def test_a_tracker_that_fails_is_said_once_without_secrets_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(tracking, "say", said.append)
    monkeypatch.setenv("WANDB_API_KEY", KEY)

    class Broken(Kept):
        def add(self, key: str, step: int, figures: Mapping[str, float]) -> None:
            raise ConnectionError(f"403 for {KEY}\nmore of it")

    kept, trial = Kept(), trial_in(tmp_path)
    with Tracking([TrackerThread("wandb", Broken), TrackerThread("mlflow", lambda: kept)]) as both:
        for step in range(3):
            both.evaluated(trial, {"step": step, "val_nll": 0.5})
        both.ended(trial, "failed")
    assert said == ["  wandb: trials are tracked no longer: 403 for <key>; the sweep goes on without it"]
    assert [each[:2] for each in kept.told] == [
        ("begin", "a"), ("a", 0), ("a", 1), ("a", 2), ("end", "a"), ("close",),
    ]  # fmt: skip


def test_a_tracker_that_cannot_be_opened_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(tracking, "say", said.append)

    def cannot() -> Kept:
        raise OSError("no route to host")

    with Tracking([TrackerThread("mlflow", cannot)]) as only:
        only.evaluated(trial_in(tmp_path), {"step": 1, "val_nll": 0.5})
    assert said == ["  mlflow: trials are tracked no longer: no route to host; the sweep goes on without it"]


def test_one_that_does_not_answer_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    answers = threading.Event()
    monkeypatch.setattr(tracking, "say", said.append)
    monkeypatch.setattr(tracking, "CLOSE_WITHIN_S", 0.2)

    class Mute(Kept):
        def begin(self, trial: TrackedTrial) -> Collection[int]:
            answers.wait()
            return ()

    began = time.monotonic()
    with Tracking([TrackerThread("wandb", Mute)]) as only:
        for key in "abc":
            only.evaluated(trial_in(tmp_path, key), {"step": 1, "val_nll": 0.5})
        assert time.monotonic() - began < 10, "told, and not waited for"
    assert said == ["  wandb: not all is sent after 0.2 s, and is not waited for"]
    answers.set()


def test_a_copy_tells_nobody(tmp_path: Path) -> None:
    kept = Kept()
    with Tracking([TrackerThread("mlflow", lambda: kept)]) as only:
        copy = pickle.loads(pickle.dumps(only))
        copy.evaluated(trial_in(tmp_path), {"step": 1, "val_nll": 0.5})
        copy.__exit__(None, None, None)
    assert kept.told == [("close",)]


def test_a_job_is_tracked_with_what_it_is_tuned_with(tmp_path: Path) -> None:
    job = job_of(tmp_path, [row("train")])
    found = tracked(job)
    assert (found.key, found.title, found.place) == (job.key, "tiny oe", job.place)
    assert found.hyperparameters["combo"] == "tiny/oe"
