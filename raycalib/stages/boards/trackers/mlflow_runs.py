"""Trials as runs of MLflow."""

from collections.abc import Collection, Mapping
import os
import time
from typing import Any

from raycalib.stages.boards.trackers.tracked import JOB_TYPE, PROJECT, EndState, TrackedTrial, run_name_of
from raycalib.storage import Location

TRIAL = "raycalib.trial"
"""A run's tag by which its trial is found again."""

STATUS: Mapping[EndState, str] = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
STORE, FILES = "mlflow.db", "mlflow_files"
"""In a local OUT/sweep, where the environment names no server: the database, and what a user adds to a run."""


class MlflowRuns:
    """A run for each trial; that of an earlier command goes on, found by the trial's key."""

    def __init__(self, group: str, sweep: Location) -> None:
        """Opens the experiment that ``MLFLOW_EXPERIMENT_NAME`` says, in the store that ``MLFLOW_TRACKING_URI`` says.

        Args:
            group: what the runs have in common.
            sweep: of the sweep's own files.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        self.client = MlflowClient(tracking_uri=uri or local_store(sweep))
        self.files = None if uri else (sweep.absolute() / FILES).local_path.as_uri()
        self.group, self.sweep = group, sweep
        self.experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT)
        self._runs: dict[str, str] = {}

    def _experiment(self, name: str) -> str:
        """Its id; another command may make it at the same moment."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self.client.create_experiment(name, artifact_location=self.files))
        except MlflowException:
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def begin(self, trial: TrackedTrial) -> Collection[int]:
        """Begins the trial's run, or goes on with the one of an earlier command; the steps that are in it."""
        name = run_name_of(self.sweep, trial)
        found = self.client.search_runs([self.experiment], f"tags.`{TRIAL}` = '{name}'", max_results=1)
        if found:
            run_id = self._runs[trial.key] = found[0].info.run_id
            self.client.update_run(run_id, status="RUNNING")
            return {int(point.step) for point in self.client.get_metric_history(run_id, "val_nll")}
        tags = {"group": self.group, "job_type": JOB_TYPE, TRIAL: name}
        run = self.client.create_run(self.experiment, tags=tags, run_name=trial.title)
        self._runs[trial.key] = run.info.run_id
        self._log(trial.key, {}, 0, {name: str(value) for name, value in trial.hyperparameters.items()})
        return ()

    def add(self, key: str, step: int, figures: Mapping[str, float]) -> None:
        """Adds an evaluation to the run of that trial."""
        self._log(key, figures, step)

    def end(self, key: str, state: EndState, best: Mapping[str, float]) -> None:
        """Ends the run of that trial, with the figures of its best step."""
        if best:
            self._log(key, best, int(best["best/step"]))
        self.client.set_tag(self._runs[key], "state", state)
        self.client.set_terminated(self._runs.pop(key), STATUS[state])

    def close(self) -> None:
        """All is sent already."""

    def _log(self, key: str, figures: Mapping[str, float], step: int, texts: Mapping[str, str] | None = None) -> None:
        from mlflow.entities import Metric, Param

        now = time.time_ns() // 1_000_000
        metrics: list[Any] = [Metric(name, value, now, step) for name, value in figures.items()]
        params: list[Any] = [Param(name, value) for name, value in (texts or {}).items()]
        self.client.log_batch(self._runs[key], metrics=metrics, params=params)


def local_store(sweep: Location) -> str:
    """The address of the database beside a local sweep's own files."""
    folder = sweep.absolute().local_path
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / STORE}"
