"""What a sweep does."""

from dataclasses import dataclass
import math
from typing import Literal, get_args

from raycalib.errors import ConfigError
from raycalib.sweeps.selection import CRITERIA, Criterion
from raycalib.sweeps.trackers import TrackerName

Search = Literal["grid", "random", "optuna"]


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """Which trials there are, and how one is chosen.

    Attributes:
        axes: what is varied, as ``kl_decay=0,0.5,1``: of method, kl_kind, kl_decay, steps, lr, train_rows and seed.
        combos: patterns of the combos that are swept, as ``llama2:*/oe``; none is all of the run's.
        search: ``grid`` tries all cells, ``random`` as many of them as ``samples`` says, and so does ``optuna``, a few
            at a time, by the validation NLL of those before (Optuna's TPE; needs ``raycalib[optuna]``).
        samples: how many cells a search other than the grid tries, of all combos' together.
        max_trials: a sweep of more trials does not start.
        max_failed_trials: once more trials than these have failed, the sweep ends without a choice; what is done is
            kept.
        reduction_factor: trials of a combo, method and number of steps are compared while they are tuned (ASHA), and of
            so many about one goes on, as 3; 0 tunes all to their ends.
        grace_period: steps after which trials are compared first, then at its multiples by powers of the reduction
            factor; 0 is the first evaluation.
        restart_stopped: trials that were stopped, by hand or by comparison, go on from their checkpoints.
        criterion: by what a combo's cell is chosen, on ``val_select`` alone: ``nll`` (least NLL at the best
            temperature; ties within one standard error go to the simpler cell), ``ece`` (which a model that says the
            same of all answers has low too) or ``auroc``.
        confirm_seeds: chosen cells are tuned again with so many other seeds, for the mean and spread of their NLL.
        trackers: where each trial is a run while it is tuned, besides TensorBoard: ``mlflow`` (needs
            ``raycalib[mlflow]``), ``wandb`` (Weights & Biases; needs ``raycalib[wandb]``), or both.
    """

    axes: tuple[str, ...] = ()
    combos: tuple[str, ...] = ()
    search: Search = "grid"
    samples: int = 0
    max_trials: int = 500
    max_failed_trials: int = 20
    reduction_factor: float = 0.0
    grace_period: int = 0
    restart_stopped: bool = False
    criterion: Criterion = "nll"
    confirm_seeds: int = 0
    trackers: tuple[TrackerName, ...] = ()

    def __post_init__(self) -> None:
        problems = [
            f"{name}: {getattr(self, name)} is not allowed; at least {least}"
            for name, least in (
                ("samples", 0),
                ("max_trials", 1),
                ("max_failed_trials", 0),
                ("confirm_seeds", 0),
                ("grace_period", 0),
            )
            if getattr(self, name) < least
        ]
        if self.reduction_factor and not 1 < self.reduction_factor < math.inf:
            problems.append(f"reduction_factor: {self.reduction_factor:g} is not allowed; above 1, as 3, or 0 for none")
        if self.grace_period and not self.reduction_factor:
            problems.append("grace_period: it is of no use without a reduction factor; --reduction-factor 3")
        if (self.search == "grid") == (self.samples > 0):
            problems.append(
                "samples: a search other than the grid needs how many, and the grid takes none; --search random "
                "--samples 40"
            )
        if self.search not in get_args(Search):
            problems.append(f"search: {self.search!r} is unknown; allowed: {', '.join(get_args(Search))}")
        if unknown := [name for name in self.trackers if name not in get_args(TrackerName)]:
            problems.append(f"trackers: {unknown[0]!r} is unknown; allowed: {', '.join(get_args(TrackerName))}")
        if self.criterion not in CRITERIA:
            problems.append(f"criterion: {self.criterion!r} is unknown; allowed: {', '.join(CRITERIA)}")
        if problems:
            raise ConfigError("; ".join(problems))
