"""What is tracked of a trial, and what a tracker does with it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
import math
from typing import Literal, Protocol

from raycalib.hashing import stable_hash
from raycalib.stages.boards.hparams import BEST
from raycalib.stages.boards.hyperparameters import Hyperparameters, hyperparameters
from raycalib.stages.tuned.tune_job import TuneJob
from raycalib.storage import Location

JOB_TYPE = "tune"
PROJECT = "raycalib"
"""Of trackers whose environment names no other."""

EndState = Literal["finished", "failed", "stopped"]


@dataclass(frozen=True, kw_only=True)
class TrackedTrial:
    """One trial.

    Attributes:
        key: names all that decides what comes of it.
        title: as a user reads it.
        place: of what it leaves.
        hyperparameters: what it is tuned with.
    """

    key: str
    title: str
    place: Location
    hyperparameters: Hyperparameters


def tracked(job: TuneJob) -> TrackedTrial:
    """The trial that tunes the job."""
    return TrackedTrial(key=job.key, title=job.title, place=job.place, hyperparameters=hyperparameters(job))


def run_name_of(sweep: Location, trial: TrackedTrial) -> str:
    """By which a trial of a sweep is found again, whatever a tracker calls its run."""
    return stable_hash("tracked", sweep.absolute().uri, trial.key)


class Tracker(Protocol):
    """A service in which each trial is a run; it belongs to one thread, and may raise whatever its library raises."""

    def begin(self, trial: TrackedTrial) -> Collection[int]:
        """Begins the trial's run, or goes on with the one of an earlier command; the steps that are in it."""

    def add(self, key: str, step: int, figures: Mapping[str, float]) -> None:
        """Adds an evaluation to the run of that trial."""

    def end(self, key: str, state: EndState, best: Mapping[str, float]) -> None:
        """Ends the run of that trial, with the figures of its best step."""

    def close(self) -> None:
        """Brings what is left where it belongs."""


def figures_of(record: Mapping[str, float | str | None]) -> dict[str, float]:
    """The figures of an evaluation that are known, without its step.

    >>> figures_of({"step": 5, "val_nll": 0.5, "val_auroc": None, "trial_id": "a1", "time_total_s": 3.0})
    {'val_nll': 0.5}
    """
    return {
        name: float(value)
        for name, value in record.items()
        if name in FIGURES and isinstance(value, int | float) and math.isfinite(value)
    }


FIGURES = ("query_loss", "divergence", "val_nll", "val_ece", "val_auroc")
"""Of an evaluation; Tune puts others beside them."""


def best_figures(history: Sequence[Mapping[str, float | None]], best_step: int) -> dict[str, float]:
    """The best step and its figures, as far as they are known, under the names that TensorBoard's HPARAMS tab has.

    >>> best_figures([{"step": 5, "val_nll": 0.5, "val_auroc": None}, {"step": 9, "val_nll": 0.75}], 5)
    {'best/step': 5.0, 'best/nll': 0.5}
    """
    best = next((figures_of(record) for record in reversed(history) if record.get("step") == best_step), {})
    return {"best/step": float(best_step)} | {tag: best[name] for tag, name in BEST.items() if name in best}
