"""Trials as runs of Weights & Biases."""

from collections.abc import Collection, Mapping
import os
from typing import Any

from raycalib.stages.boards.trackers.tracked import JOB_TYPE, PROJECT, EndState, TrackedTrial, run_name_of
from raycalib.storage import Location


class WandbRuns:
    """A run for each trial, several at once; one of an earlier command goes on, since its id hangs on the trial's key.

    Key, server, entity, project and mode are the environment's; ``WANDB_MODE=offline`` keeps the runs on disk for
    ``wandb sync``.
    """

    def __init__(self, group: str, sweep: Location) -> None:
        """Keeps files in ``WANDB_DIR``, or beside a local sweep's own files."""
        os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")  # it advertises itself where openai is imported
        self.group, self.sweep = group, sweep
        self.folder = os.environ.get("WANDB_DIR") or _folder_of(sweep)
        self._runs: dict[str, Any] = {}

    def begin(self, trial: TrackedTrial) -> Collection[int]:
        """Begins the trial's run, or goes on with the one of an earlier command."""
        import wandb

        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            group=self.group,
            job_type=JOB_TYPE,
            name=trial.title,
            id=run_name_of(self.sweep, trial),
            resume="allow",
            reinit="create_new",
            dir=self.folder,
            config=dict(trial.hyperparameters),
            # The driver's own lines, code, command line and load are of no trial.
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_save_requirements=False,
            ),
        )
        self._runs[trial.key] = run
        run.define_metric("*", step_metric="step")  # by the trial's own steps, in whatever order they come
        return ()

    def add(self, key: str, step: int, figures: Mapping[str, float]) -> None:
        """Adds an evaluation to the run of that trial."""
        self._runs[key].log({**figures, "step": step})

    def end(self, key: str, state: EndState, best: Mapping[str, float]) -> None:
        """Ends the run of that trial, with the figures of its best step."""
        run = self._runs.pop(key)
        run.summary.update({**best, "state": state})
        run.finish(exit_code=0 if state == "finished" else 1)

    def close(self) -> None:
        """Each run has sent what it had when it ended."""


def _folder_of(sweep: Location) -> str | None:
    """A local sweep's own directory; None leaves it to the library."""
    if not sweep.is_local:
        return None
    folder = sweep.absolute().local_path
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
