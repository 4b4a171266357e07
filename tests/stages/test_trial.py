"""Trials: what one does in its process, and several of them on a local Ray."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
import random
from threading import Thread
import time
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import ray
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.errors import LossNotFiniteError, ModelError, StorageError
from raycalib.lm.lora_settings import LoraSettings
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import finished
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.tuned.tuning_run import run_tuning
from raycalib.stages.workers import base_models, train_loop, trial, tuning
from raycalib.stages.workers.tuning_rows import tuning_data
from raycalib.storage import Location
from raycalib.tuning.settings import TuningMethod, TuningSettings
from tests.jobs.processes import processes_below
from tests.stages.test_tune import job_of, row, rows_and_model

TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
SMALL: dict[str, Any] = {"global_batch_size": 2, "max_tokens": 200, "log_every": 1}


@pytest.fixture
def rows(tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return rows_and_model(tmp_path, tiny_llama, monkeypatch)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What trials report, without a Tune to report to."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(trial.ray_tune, "report", found.append)
    monkeypatch.setattr(trial, "node_is_going", lambda: False)
    return found


def files(job: TuneJob) -> dict[str, bytes]:
    paths = [path for path in job.place.local_path.rglob("*") if path.is_file()]
    wanted = {"adapter", "head", "training.json", "validation.parquet"}
    names = {path: path.relative_to(job.place.local_path) for path in paths}
    return {str(name): path.read_bytes() for path, name in names.items() if name.parts[0] in wanted}


def test_a_trial_leaves_what_a_worker_of_ray_train_leaves(
    tmp_path: Path, rows: list[dict[str, Any]], told: list[dict[str, Any]]
) -> None:
    settings = TuningSettings(steps=4, eval_every=2, lr=1e-3, **SMALL)
    job = job_of(tmp_path, rows, settings)
    train_loop.train_loop({"jobs": [job], "use_gpu": False, "run": "r"})
    expected = files(job)
    for name in ("adapter", "checkpoints", "training.json", "validation.parquet", "manifest.json"):
        (job.place / name).remove()
    trial.tune_trial({"job": 0}, jobs=[job], use_gpu=False, run="r")
    assert files(job) == expected
    assert [report["step"] for report in told] == [2, 4]


@pytest.mark.parametrize("methods", [("lora_prompt", "lora_prompt"), ("lora", "lora_prompt"), ("probe", "lora")])
def test_trials_of_one_process_share_a_base_model_and_leave_what_they_would_alone(
    tmp_path: Path,
    rows: list[dict[str, Any]],
    told: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    methods: tuple[TuningMethod, TuningMethod],
) -> None:
    loaded, load = [], base_models.load_causal_lm
    monkeypatch.setattr(base_models, "load_causal_lm", lambda *given: loaded.append(given) or load(*given))
    monkeypatch.setattr(trial, "BASE_MODELS", base_models.BaseModels())
    of_loras = [LoraSettings(targets=("q_proj", "v_proj"), dropout=0.1), LoraSettings(targets=("up_proj", "o_proj"))]
    jobs = [
        job_of(tmp_path, rows, TuningSettings(method=method, lora=lora, steps=4, eval_every=2, lr=1e-3, **SMALL))
        for method, lora in zip(methods, of_loras, strict=True)
    ]
    for index in range(2):
        trial.tune_trial({"job": index}, jobs=jobs, use_gpu=False, run="r")
    assert len(loaded) == 1
    assert trial.BASE_MODELS._kept is not None
    hooked = [m for m in trial.BASE_MODELS._kept[1].modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooked == [], "each trial would leave its own, with all that they hold"
    for job in jobs:
        calm = replace(
            job, place=Location(str(tmp_path / "calm" / job.key)), reference=Location(str(tmp_path / "calm"))
        )
        train_loop.train_loop({"jobs": [calm], "use_gpu": False, "run": "r"})
        assert files(calm) == files(job)


def test_what_it_says_of_the_rows_it_is_chosen_by_is_kept(
    tmp_path: Path, rows: list[dict[str, Any]], told: list[dict[str, Any]]
) -> None:
    job = job_of(tmp_path, rows, TuningSettings(steps=4, eval_every=2, lr=1e-3, **SMALL))
    trial.tune_trial({"job": 0}, jobs=[job], use_gpu=False, run="r")
    kept = pq.read_table(job.place.local_path / tuning.VALIDATION).to_pylist()
    assert [(each["row_id"], each["query_label"]) for each in kept] == [("val_select0", 0), ("val_select1", 1)]
    found = finished(job.place, job.key)
    assert found is not None
    assert tuning.VALIDATION in found.manifest.sizes


def test_a_fault_that_would_come_again_is_left_and_not_raised(
    tmp_path: Path, rows: list[dict[str, Any]], told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, rows, TuningSettings(steps=2, **SMALL))
    tried = []

    def fails(job: TuneJob, *given: Any, **hooks: Any) -> None:
        tried.append(job.settings.micro_batch_size)
        raise ModelError("no layer of attention")

    monkeypatch.setattr(trial, "tune", fails)
    for _ in range(2):
        trial.tune_trial({"job": 0}, jobs=[job], use_gpu=False, run="r")
    assert tried == [4]
    assert job.place.read_json(tuning.FAILURE) == {"error": "no layer of attention", "run": "r"}
    assert told == [{trial.FAILED: job.key}]
    trial.tune_trial({"job": 0}, jobs=[job], use_gpu=False, run="s")
    assert tried == [4, 4]


def test_where_memory_runs_out_half_as_many_rows_are_tried_once(
    tmp_path: Path, rows: list[dict[str, Any]], told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, rows, TuningSettings(steps=2, lr=1e-3, micro_batch_size=4, **SMALL))
    tried, tune = [], tuning.tune

    def too_large(job: TuneJob, *given: Any, **hooks: Any) -> None:
        tried.append(job.settings.micro_batch_size)
        if job.settings.micro_batch_size > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        tune(job, *given, **hooks)

    monkeypatch.setattr(trial, "tune", too_large)
    fits = 1
    trial.tune_trial({"job": 0}, jobs=[job], use_gpu=False, run="r")
    assert tried == [4, 2]
    assert "out of memory" in job.place.read_json(tuning.FAILURE)["error"]
    fits = 2
    trial.tune_trial({"job": 0}, jobs=[job], use_gpu=False, run="s")
    assert tried == [4, 2, 4, 2]
    assert finished(job.place, job.key) is not None


def test_a_store_that_does_not_answer_is_asked_again(
    tmp_path: Path, rows: list[dict[str, Any]], told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, rows, TuningSettings(steps=2, **SMALL))

    def fails(*given: Any, **hooks: Any) -> None:
        raise StorageError("storage: s3://bucket: cannot write: 503 slow down")

    paused: list[float] = []
    monkeypatch.setattr(trial, "tune", fails)
    monkeypatch.setattr(trial.time, "sleep", paused.append)
    with pytest.raises(StorageError, match="503"):
        trial.tune_trial({"job": 0}, jobs=[job], use_gpu=False, run="r")
    assert not job.place.exists(tuning.FAILURE)
    assert told == []
    assert trial.STORE_PAUSE_S in paused, "it is not asked again at once"
    monkeypatch.setattr(train_loop, "tune", fails)
    with pytest.raises(StorageError, match="503"):
        train_loop.train_loop({"jobs": [job], "use_gpu": False, "run": "r"})
    assert not job.place.exists(tuning.FAILURE), "Ray starts its workers anew"


def test_a_trial_that_was_given_up_needs_no_device_to_see_it(
    tmp_path: Path, rows: list[dict[str, Any]], told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Tune would start it again and again on a node whose GPU torch does not see."""
    job = job_of(tmp_path, rows, TuningSettings(steps=2, **SMALL))

    def no_device(use_gpu: bool) -> torch.device:
        raise ModelError("torch sees no GPU")

    monkeypatch.setattr(trial, "chosen_device", no_device)
    with pytest.raises(ModelError):
        trial.tune_trial({"job": 0}, jobs=[job], use_gpu=True, run="r")
    tuning.leave_failure(job, "r", RuntimeError("its process ended 3 times"))
    trial.tune_trial({"job": 0}, jobs=[job], use_gpu=True, run="r")
    assert told == []


def test_workers_that_tune_in_turn_begin_nothing_once_too_many_have_failed(
    tmp_path: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job_of(tmp_path, rows, TuningSettings(steps=steps, **SMALL)) for steps in (2, 3, 4)]
    begun: list[int] = []

    def diverges(job: TuneJob, *given: Any, **hooks: Any) -> None:
        begun.append(job.settings.steps)
        raise LossNotFiniteError("not finite")

    monkeypatch.setattr(train_loop, "tune", diverges)
    train_loop.train_loop({"jobs": jobs, "use_gpu": False, "run": "r", "most_failed": 1})
    assert begun == [2, 3]


def test_another_fault_is_raised_so_that_tune_tries_again(
    tmp_path: Path, rows: list[dict[str, Any]], told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, rows, TuningSettings(steps=2, **SMALL))

    def fails(*given: Any, **hooks: Any) -> None:
        raise RuntimeError("connection reset by peer")

    monkeypatch.setattr(trial, "tune", fails)
    with pytest.raises(RuntimeError, match="reset"):
        trial.tune_trial({"job": 0}, jobs=[job], use_gpu=False, run="r")
    assert not job.place.exists(tuning.FAILURE)


def test_fewer_training_rows_are_always_the_same_and_among_more(tmp_path: Path, tiny_llama: TinyLlama) -> None:
    rows = [row("train", index % 2, row_id=f"t{index}") for index in range(12)] + [
        row("val_select"),
        row("val_select", 0),
    ]

    def drawn(n: int, of: list[dict[str, Any]]) -> list[str]:
        job = job_of(tmp_path / f"{n}-{len(of)}", of, TuningSettings(train_rows=n))
        data, counts = tuning_data(job, tiny_llama[1], 200)
        assert counts["in"] == len(of) == counts["train"] + 2 + counts.get("beyond_train_rows", 0)
        return [each.row_id for each in data.train]

    assert drawn(0, rows) == drawn(12, rows) == [f"t{index}" for index in range(12)]
    few, more = drawn(3, rows), drawn(7, rows)
    assert (len(few), len(more)) == (3, 7)
    assert set(few) < set(more)
    assert drawn(3, rows[::-1]) == few[::-1]


def test_the_key_is_as_it_was_where_all_rows_are_tuned_on(tmp_path: Path) -> None:
    jobs = [job_of(tmp_path, [row("train"), row("val_select")], TuningSettings(train_rows=n)) for n in (0, 5, 6)]
    assert len({job.key for job in jobs}) == 3
    assert "train_rows" not in jobs[0].identity["settings"]


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    ray.init(address="local", num_cpus=2, _temp_dir=str(tmp_path_factory.mktemp("r")), log_to_driver=True)
    yield Cluster(RaySettings(train_workers=1))
    ray.shutdown()


def processes_of_trials() -> list[psutil.Process]:
    """Of this test's Ray; Tune makes a class of the function."""
    return processes_below(psutil.Process(), "ImplicitFunc")


@pytest.mark.ray
@pytest.mark.filterwarnings("default")
def test_trials_are_at_work_at_once_one_that_cannot_be_tuned_costs_itself_and_one_that_is_killed_goes_on(
    tmp_path: Path, rows: list[dict[str, Any]], cluster: Cluster
) -> None:
    settings = {"steps": 200, "eval_every": 50, "checkpoint_every": 5, **SMALL}
    jobs = [job_of(tmp_path, rows, TuningSettings(lr=lr, **settings)) for lr in (1e-3, 2e-3, 1e30, 3e-3)]
    seen, killed, draw = [], [], random.Random(3)
    wanted = draw.randint(1, 8)

    def watch() -> None:
        while any(finished(job.place, job.key) is None for job in (jobs[0], jobs[1], jobs[3])):
            alive = processes_of_trials()
            seen.append(len(alive))
            if not killed and alive and len(list(tmp_path.rglob("step-*/state.json"))) >= wanted:
                draw.choice(alive).kill()
                killed.append(len(alive))
            time.sleep(0.05)

    watching = Thread(target=watch, daemon=True)
    watching.start()
    result = run_tuning(jobs, Location(str(tmp_path / "out")), cluster)
    watching.join(timeout=30)
    assert killed, "a trial was killed"
    assert max(seen) == 2, "two were at work at once"
    assert set(result.tuned) == {job.key for job in (jobs[0], jobs[1], jobs[3])}
    assert "is not finite" in result.failed[jobs[2].key]
    for job in (jobs[0], jobs[1], jobs[3]):
        calm = replace(
            job, place=Location(str(tmp_path / "calm" / job.key)), reference=Location(str(tmp_path / "calm"))
        )
        train_loop.train_loop({"jobs": [calm], "use_gpu": False, "run": "r"})
        assert files(calm) == files(job)
    deadline = time.monotonic() + 30
    while processes_of_trials():
        assert time.monotonic() < deadline, "processes of trials are left"
        time.sleep(0.2)
