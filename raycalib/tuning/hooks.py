"""What a run of tuning is given: its rows, and what to tell whom."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raycalib.errors import DataError
from raycalib.tuning.batches import TuningRow
from raycalib.tuning.figures import StepFigures, TuningProgress


@dataclass(frozen=True, kw_only=True)
class TuningData:
    """Rows to tune on and to select the step by."""

    train: Sequence[TuningRow]
    val: Sequence[TuningRow]

    def __post_init__(self) -> None:
        if not self.train or not self.val:
            raise DataError(
                f"tuning: {len(self.train)} training and {len(self.val)} val_select rows with a label; needs both"
            )


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What a run tells and asks of those around it; all workers call ``checkpoint_now``, the first alone all others.

    Attributes:
        observe: is given the figures of each evaluation.
        observe_step: is given those of every ``log_every``-th step.
        say: is given remarks, a line each.
        show: is given what goes on at the moment, before the first step.
        alive: is called before each pass over rows, of whatever kind.
        checkpoint_now: whether this worker will soon be gone; all workers ask after the same step, every few seconds.
        stop: whether to write a checkpoint and end before the last step; is given the figures of an evaluation after
            each, and None every few seconds.
    """

    observe: Callable[[TuningProgress], None] = lambda figures: None
    observe_step: Callable[[StepFigures], None] = lambda figures: None
    say: Callable[[str], None] = lambda line: None
    show: Callable[[str], None] = lambda line: None
    alive: Callable[[], None] = lambda: None
    checkpoint_now: Callable[[], bool] = lambda: False
    stop: Callable[[TuningProgress | None], bool] = lambda figures: False
