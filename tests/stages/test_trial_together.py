"""Trials of several workers: side by side as far as the cluster holds groups of them, and begun again once killed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
import time
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import ray
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.stages.cluster import Cluster
from raycalib.stages.output import finished
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned.train_run import run_train
from raycalib.stages.tuned.trial_files import TRAINING, VALIDATION
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.stages.tuned.tuning_run import run_tuning
from raycalib.storage import Location
from raycalib.tuning.settings import TuningSettings
from tests.jobs.processes import processes_below
from tests.stages.test_trial import SMALL
from tests.stages.test_tune import job_of, rows_and_model

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.timeout(1200), pytest.mark.filterwarnings("default")]
TinyLlama = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
WORKER, CONTROLLER, TRIAL = "RayTrainWorker", "TrainController", "ImplicitFunc"


@pytest.fixture
def rows(tmp_path: Path, tiny_llama: TinyLlama, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return rows_and_model(tmp_path, tiny_llama, monkeypatch)


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    ray.init(address="local", num_cpus=4, _temp_dir=str(tmp_path_factory.mktemp("r")), log_to_driver=True)
    yield Cluster(RaySettings(train_workers=2))
    ray.shutdown()


def processes(kind: str) -> list[psutil.Process]:
    """Of this test's Ray."""
    return processes_below(psutil.Process(), kind)


def outcome(job: TuneJob) -> tuple[int, list[str], list[float]]:
    validation = pq.read_table(job.place.local_path / VALIDATION)
    best_step = job.place.read_json(TRAINING)["best_step"]
    return best_step, validation["row_id"].to_pylist(), validation["margin"].to_pylist()


def watched(jobs: list[TuneJob], look: Callable[[], None], work: Callable[[], Any]) -> Any:
    """What ``work`` gives, while ``look`` is called again and again until the jobs are tuned."""

    def watch() -> None:
        while any(finished(job.place, job.key) is None for job in jobs):
            look()
            time.sleep(0.05)

    watching = Thread(target=watch, daemon=True)
    watching.start()
    result = work()
    watching.join(timeout=30)
    return result


def test_two_jobs_of_two_workers_are_tuned_at_once_and_go_on_where_a_process_is_killed(
    tmp_path: Path, rows: list[dict[str, Any]], cluster: Cluster
) -> None:
    """A controller of one and the trial's own process of the other are killed, once each has a checkpoint."""
    settings = {"steps": 120, "eval_every": 40, "checkpoint_every": 5, **SMALL}
    jobs = [job_of(tmp_path, rows, TuningSettings(lr=lr, **settings)) for lr in (1e-3, 2e-3)]
    most: dict[str, int] = dict.fromkeys((WORKER, CONTROLLER, TRIAL), 0)
    killed: list[str] = []

    def look() -> None:
        for kind in most:
            most[kind] = max(most[kind], len(processes(kind)))
        for kind in (CONTROLLER, TRIAL):
            has_begun = len(list(tmp_path.rglob("step-*/state.json"))) >= 2 + 2 * len(killed)
            alive = processes(kind)
            if has_begun and alive and kind not in killed:
                alive[0].kill()
                killed.append(kind)

    result = watched(jobs, look, lambda: run_tuning(jobs, Location(str(tmp_path / "out")), cluster))
    assert killed == [CONTROLLER, TRIAL]
    assert result.failed == {}
    assert most[WORKER] >= 4, "both jobs were at work at once, by two workers each"
    assert most[TRIAL] >= 2
    calm = [replace(job, place=Location(str(tmp_path / "calm" / job.key))) for job in jobs]
    run_train(calm, 2, Location(str(tmp_path / "calm")), cluster)
    for job, expected in zip(jobs, calm, strict=True):
        best_step, ids, margins = outcome(job)
        assert (best_step, ids) == outcome(expected)[:2]
        assert margins == pytest.approx(outcome(expected)[2], abs=1e-6)
