"""Runs of MLflow, read back from a database as its users read them."""

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
import pytest

from raycalib.stages.boards.trackers.mlflow_runs import STORE, MlflowRuns
from raycalib.stages.boards.trackers.tracked import TrackedTrial
from raycalib.storage import Location

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return Location(str(tmp_path / "out" / "sweep"))


def trial_of(sweep: Location, key: str) -> TrackedTrial:
    values: dict[str, str | int | float] = {"combo": "llama2:7b/oe", "kl_decay": 0.5, "steps": 50, "lora_rank": "none"}
    return TrackedTrial(key=key, title=f"llama2:7b oe {key}", place=sweep / key, hyperparameters=values)


def runs_in(sweep: Location, experiment: str = "raycalib") -> dict[str, Any]:
    """By name."""
    client = MlflowClient(tracking_uri=f"sqlite:///{sweep.local_path / STORE}")
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return {run.info.run_name: run for run in client.search_runs([found.experiment_id])}


def points_of(sweep: Location, run: Any, name: str) -> list[tuple[int, float]]:
    client = MlflowClient(tracking_uri=f"sqlite:///{sweep.local_path / STORE}")
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]


def test_a_run_has_what_a_trial_was_tuned_with_its_evaluations_best_figures_and_state(sweep: Location) -> None:
    tracker = MlflowRuns("my sweep", sweep)
    for key in ("a", "b", "c"):
        assert tracker.begin(trial_of(sweep, key)) == ()
        tracker.add(key, 10, {"val_nll": 0.7, "val_auroc": 0.5})
    tracker.add("a", 20, {"val_nll": 0.6})
    tracker.end("a", "finished", {"best/step": 20.0, "best/nll": 0.6})
    tracker.end("b", "failed", {})
    tracker.end("c", "stopped", {})
    tracker.close()
    found = runs_in(sweep)
    assert {name[-1]: run.info.status for name, run in found.items()} == {
        "a": "FINISHED", "b": "FAILED", "c": "KILLED",
    }  # fmt: skip
    run = found["llama2:7b oe a"]
    assert run.data.params == {"combo": "llama2:7b/oe", "kl_decay": "0.5", "steps": "50", "lora_rank": "none"}
    assert {name: run.data.tags[name] for name in ("group", "job_type", "state")} == {
        "group": "my sweep", "job_type": "tune", "state": "finished",
    }  # fmt: skip
    assert points_of(sweep, run, "val_nll") == [(10, 0.7), (20, 0.6)]
    assert points_of(sweep, run, "best/nll") == [(20, 0.6)]
    assert run.data.metrics["best/step"] == 20
    files = (sweep.local_path / "mlflow_files").as_uri()
    assert run.info.artifact_uri.startswith(files), "and not where the command was started"


def test_a_later_command_goes_on_with_the_run_of_the_same_trial_of_the_same_sweep(
    sweep: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{sweep.local_path.parent / 'shared.db'}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    sweep.local_path.mkdir(parents=True)
    first = MlflowRuns("g", sweep)
    first.begin(trial_of(sweep, "a"))
    first.add("a", 10, {"val_nll": 0.7})
    again = MlflowRuns("g", sweep)  # the first was killed
    assert set(again.begin(trial_of(sweep, "a"))) == {10}
    again.add("a", 20, {"val_nll": 0.6})
    again.end("a", "finished", {})
    other = MlflowRuns("g", sweep / "other")
    assert other.begin(trial_of(sweep, "a")) == ()
    client = MlflowClient(tracking_uri=f"sqlite:///{sweep.local_path.parent / 'shared.db'}")
    experiment = client.get_experiment_by_name("mine")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in found) == ["FINISHED", "RUNNING"]
    assert not (sweep.local_path / STORE).exists()
