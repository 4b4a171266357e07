"""Trials that are stopped, by hand or since they fall behind, and go on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import StorageError
from raycalib.stages.output import finished
from raycalib.stages.tuned import tuning_run
from raycalib.stages.tuned.job_rungs import with_rungs
from raycalib.stages.tuned.stops import STOP, Stops, ask_to_stop, begin_again, why_stopped
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.workers import base_models, train_loop, trial
from raycalib.storage import Location
from raycalib.tuning.checkpoint import complete_checkpoints
from raycalib.tuning.figures import TuningProgress
from raycalib.tuning.settings import TuningSettings
from tests.stages.test_trial import SMALL, files
from tests.stages.test_tune import job_of, row, rows_and_model

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]


@pytest.fixture
def rows(tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setattr(trial, "node_is_going", lambda: False)
    return rows_and_model(tmp_path, tiny_llama, monkeypatch)


def tune(jobs: list[TuneJob], index: int = 0) -> None:
    trial.tune_trial({"job": index}, jobs=jobs, use_gpu=False, run="r")


def test_one_that_is_told_to_stop_keeps_a_checkpoint_and_goes_on_to_the_same_end(
    tmp_path: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, rows, TuningSettings(steps=8, eval_every=3, checkpoint_every=100, lr=1e-3, **SMALL))
    seen: list[Any] = []

    def stop_at_the_first(report: dict[str, Any]) -> None:
        if not seen:
            ask_to_stop(job.place)
        seen.append(report.get("step", report))

    monkeypatch.setattr(trial.ray_tune, "report", stop_at_the_first)
    monkeypatch.setattr("raycalib.stages.tuned.stops.LOOK_EVERY_S", 0.0)
    tune([job])
    assert seen == [3, {"stopped": job.key}]
    assert [step for step, _ in complete_checkpoints(job.place / "checkpoints")] == [3]
    assert why_stopped(job.place) == "by --stop-trial, at step 3"
    assert finished(job.place, job.key) is None
    tune([job])
    assert seen[2:] == [{"stopped": job.key}], "a stopped one is not begun, and said again to be stopped"
    begin_again(job.place)
    tune([job])
    assert seen[3:] == [6, 8]
    calm = replace(job, place=Location(str(tmp_path / "calm" / job.key)), reference=Location(str(tmp_path / "calm")))
    train_loop.train_loop({"jobs": [calm], "use_gpu": False, "run": "r"})
    assert files(calm) == files(job)


def test_one_that_falls_behind_is_stopped_and_leaves_the_base_model_to_the_next(
    tmp_path: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial.ray_tune, "report", lambda report: None)
    loaded, load = [], base_models.load_causal_lm
    monkeypatch.setattr(base_models, "load_causal_lm", lambda *given: loaded.append(given) or load(*given))
    monkeypatch.setattr(trial, "BASE_MODELS", base_models.BaseModels())
    settings = [
        TuningSettings(lr=lr, steps=steps, eval_every=2, **SMALL)
        for lr, steps in ((1e-3, 8), (1e-9, 8), (1e-9, 6), (1e-3, 8))
    ]
    made = [with_rungs(job_of(tmp_path, rows, each), Location(str(tmp_path / "rungs")), 4, 2) for each in settings]
    assert [job.rungs.milestones for job in made if job.rungs] == [(4,), (4,), (4,), (4,)]
    good, bad, other_length, same = made
    assert good.key == same.key
    for index in range(3):
        tune([good, bad, other_length], index)
    assert finished(good.place, good.key) is not None
    assert finished(bad.place, bad.key) is None
    assert "the bound of the best of every 2 among 1 trials evaluated there before, at step 4" in why_stopped(bad.place)
    assert finished(other_length.place, other_length.key) is not None, "it is compared with its own length alone"
    assert len(loaded) == 1


@pytest.mark.parametrize("leave_stopped", [True, False])
def test_a_stop_that_is_asked_for_while_a_command_begins_is_heard(tmp_path: Path, leave_stopped: bool) -> None:
    job = job_of(tmp_path, [row("train")], TuningSettings(steps=8))
    ask_to_stop(job.place)
    tuning_run._begin([job], leave_stopped)
    assert bool(why_stopped(job.place)) == leave_stopped


def test_a_store_that_does_not_answer_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = with_rungs(job_of(tmp_path, [row("train")]), Location(str(tmp_path / "rungs")), 1, 2)
    now = [0.0]
    stops = Stops(job, clock=lambda: now[0])
    ask_to_stop(job.place)
    assert not stops.ask(None), "it was looked at just now"
    now[0] = 60.0

    def fails(*given: Any) -> Any:
        raise StorageError("503 slow down")

    figures = TuningProgress(step=1, steps=9, query_loss=1.0, divergence=0.0, val_nll=1.0, val_auroc=0.5, val_ece=0.1)
    with monkeypatch.context() as patched:
        patched.setattr(Location, "exists", fails)
        patched.setattr(Location, "names", fails)
        assert not stops.ask(figures)
    now[0] = 120.0
    assert stops.ask(None)
    stops.leave(7)
    assert job.place.read_json(STOP) == {"reason": "by --stop-trial", "step": 7}
