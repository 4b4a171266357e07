"""What became of a trial, as its validation rows tell."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from raycalib.metrics import auroc, expected_calibration_error
from raycalib.sweeps.cells import Cell
from raycalib.tuning.temperature import fit_temperature

FINISHED, STOPPED, FAILED, UNFINISHED = "finished", "stopped", "failed", "unfinished"
NORMAL_95 = 1.959964
"""Standard errors to either side that hold 95 % of a normal distribution."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial of a sweep.

    Attributes:
        cell: what it was tuned with.
        key: names its inputs; its place has it.
        place: where its adapter lies.
        reason: why it failed, was stopped or is unfinished; empty where it is finished.
        was_begun: not so where there is nothing to tune on, or labels that say nothing.
        was_stopped: before its end, on purpose.
        was_cut_off: before its end, with all others that were not finished.
        best_step: with the least NLL on ``val_select``.
        nll, ece, auroc: on ``val_select`` at the best step, with the temperature that suits these rows best.
        rows: ids of these.
        losses: (n,) of each of them, in nats.
        n_train: rows that it was tuned on; None where that is not known, as of one that failed.
        seconds: that it took, over all its attempts; None where that is not known.
        gpus: that it had.
        n: how many they are.
    """

    cell: Cell
    key: str
    place: str
    reason: str = ""
    was_begun: bool = True
    was_stopped: bool = False
    was_cut_off: bool = False
    best_step: int | None = None
    nll: float | None = None
    ece: float | None = None
    auroc: float | None = None
    rows: tuple[str, ...] = ()
    losses: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    n_train: int | None = None
    seconds: float | None = None
    gpus: int | None = None

    @property
    def n(self) -> int:
        """Rows that it is selected by."""
        return len(self.losses)

    @property
    def state(self) -> str:
        """Whether it is finished, stopped, failed or unfinished."""
        if self.was_stopped:
            return STOPPED
        if self.was_cut_off:
            return UNFINISHED
        return FAILED if self.reason else FINISHED

    @property
    def nll_se(self) -> float | None:
        """Standard error of the NLL over the rows."""
        return None if self.n < 2 else float(self.losses.std(ddof=1) / np.sqrt(self.n))

    @property
    def nll_interval(self) -> tuple[float, float] | None:
        """95 % interval of the NLL, by the normal approximation to the mean over the rows."""
        if self.nll is None or self.nll_se is None:
            return None
        return self.nll - NORMAL_95 * self.nll_se, self.nll + NORMAL_95 * self.nll_se


def judged(
    cell: Cell, key: str, place: str, best_step: int, rows: Sequence[str], margins: np.ndarray, labels: np.ndarray
) -> Trial:
    """A finished trial, from what it says of the validation rows.

    Args:
        cell: what it was tuned with.
        key: names its inputs.
        place: where its adapter lies.
        best_step: whose margins these are.
        rows: ids.
        margins: (n,) log-odds that the answers are right.
        labels: (n,) whether they are.
    """
    scaled = np.asarray(fit_temperature(margins, labels).apply(margins), dtype=np.float64)
    losses = np.logaddexp(0.0, np.where(labels == 1, -scaled, scaled))
    both = 0 < int(labels.sum()) < len(labels)
    return Trial(
        cell=cell,
        key=key,
        place=place,
        best_step=best_step,
        nll=float(losses.mean()),
        ece=expected_calibration_error(labels, np.exp(-np.logaddexp(0.0, -scaled))),
        auroc=float(auroc(labels, margins)) if both else None,
        rows=tuple(rows),
        losses=losses,
    )
