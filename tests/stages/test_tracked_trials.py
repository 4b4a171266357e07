"""Trials of a local Ray that trackers and metrics are told of, as they tell it afterwards."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
import time
from typing import Any

from mlflow import MlflowClient
import pytest
import ray
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from raycalib.stages.boards import ray_metrics
from raycalib.stages.boards.ray_metrics import TRIALS, RayMetric
from raycalib.stages.boards.trackers.tracking import open_tracking
from raycalib.stages.cluster import Cluster
from raycalib.stages.settings import RaySettings
from raycalib.stages.tuned.tuning_run import run_tuning
from raycalib.storage import Location
from raycalib.tuning.settings import TuningSettings
from tests.stages.boards.test_ray_metrics import WITHIN_S, exported
from tests.stages.boards.test_wandb_runs import runs_below
from tests.stages.test_tune import job_of, rows_and_model

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.filterwarnings("default")]
SMALL: dict[str, Any] = {"eval_every": 20, "global_batch_size": 2, "max_tokens": 200, "log_every": 1}


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = str(tmp_path_factory.mktemp("r"))
    often = {"metrics_report_interval_ms": 1000}
    ray.init(address="local", num_cpus=2, _temp_dir=folder, _system_config=often)
    yield Cluster(RaySettings(train_workers=1))
    ray.shutdown()


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_API_KEY", "WANDB_DIR", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):  # not HOME, where Ray has its token
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.mark.usefixtures("offline")
def test_each_trial_is_a_run_with_its_evaluations_and_its_end(
    tmp_path: Path,
    tiny_llama: tuple[LlamaForCausalLM, PreTrainedTokenizerFast],
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = rows_and_model(tmp_path, tiny_llama, monkeypatch)
    lengths = {"schedule": "wsd", "lr": 1e-3, **SMALL}
    settings = [TuningSettings(steps=steps, **lengths) for steps in (40, 80)]  # one trial of Tune tunes both
    settings.append(TuningSettings(steps=40, lr=1e30, **SMALL))
    jobs = [replace(job_of(tmp_path, rows, each), cell=f"number={n}") for n, each in enumerate(settings)]
    out, over, seen = tmp_path / "my sweep", Event(), set[tuple[str, float]]()

    def look() -> None:
        while not over.wait(0.3):
            for tags, value in exported(ray.nodes()[0]).get(TRIALS.exported, ()):
                assert tags["sweep"] == "my sweep"
                seen.add((tags["state"], value))

    def show(metric: RayMetric, value: float | None, **tags: str) -> None:
        """Sets it, and lets nothing go on before a running trial is exported, however soon it is over."""
        set_gauge(metric, value, **tags)
        if metric is TRIALS and tags["state"] == "running" and value:
            deadline = time.monotonic() + WITHIN_S
            while ("running", value) not in seen and time.monotonic() < deadline:
                set_gauge(metric, value, **tags)
                time.sleep(0.3)

    monkeypatch.setattr(ray_metrics, "SHOWN_EVERY_S", 0.0)
    set_gauge = ray_metrics.set_gauge
    monkeypatch.setattr(ray_metrics, "set_gauge", show)
    watching = Thread(target=look, daemon=True)
    watching.start()
    with open_tracking(["mlflow", "wandb"], Location(str(out))) as tracking:
        result = run_tuning(jobs, Location(str(out)), cluster, tracking=tracking)
    over.set()
    watching.join(timeout=30)
    assert set(result.tuned) == {jobs[0].key, jobs[1].key}
    assert "running" in {state for state, value in seen if value > 0}

    client = MlflowClient(tracking_uri=f"sqlite:///{out / 'sweep' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("raycalib")
    assert experiment is not None
    in_mlflow = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    in_wandb = runs_below(out / "sweep")
    assert set(in_mlflow) == set(in_wandb) == {job.title for job in jobs}
    for job in jobs[:2]:
        record = job.place.read_json("training.json")
        points = [(int(each["step"]), each["val_nll"]) for each in record["history"]]
        run, kept = in_mlflow[job.title], in_wandb[job.title]
        told = client.get_metric_history(run.info.run_id, "val_nll")
        assert sorted((point.step, point.value) for point in told) == points
        assert sorted((each["step"], each["val_nll"]) for each in kept.history) == points
        assert run.data.metrics["best/nll"] == kept.summary["best/nll"] == pytest.approx(record["best_nll"])
        assert run.data.params["steps"] == str(kept.config["steps"]) == str(job.settings.steps)
        assert run.info.status == "FINISHED"
        assert (kept.group, kept.job_type, kept.summary["state"]) == ("my sweep", "tune", "finished")
    assert in_mlflow[jobs[2].title].info.status == "FAILED"
    assert in_wandb[jobs[2].title].summary["state"] == "failed"
