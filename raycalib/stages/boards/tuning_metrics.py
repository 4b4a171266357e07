"""Ray's metrics of a job while it is tuned."""

from raycalib.stages.boards import ray_metrics
from raycalib.tuning.figures import StepFigures, TuningProgress

STAGE = "tuned"


class TuningMetrics:
    """Of one job, in the process of its first worker."""

    def __init__(self, title: str, combo: str, model: str) -> None:
        """Takes how the job, its combo and its model are called, the last as in names of directories."""
        self.of_trial = {"combo": combo, "trial": title}
        self.of_stage = {"stage": STAGE, "model": model}
        self._evaluation: TuningProgress | None = None

    def observe_step(self, figures: StepFigures) -> None:
        """A step's figures, and once more those of the last evaluation, which Ray would forget."""
        ray_metrics.count(ray_metrics.ROWS, figures.rows, **self.of_stage, outcome="done")
        ray_metrics.count(ray_metrics.TOKENS, figures.tokens, **self.of_stage, kind="read")
        ray_metrics.set_gauge(ray_metrics.LOSS, figures.loss, **self.of_trial)
        ray_metrics.set_gauge(ray_metrics.PROGRESS, figures.step / figures.steps, **self.of_trial)
        if self._evaluation is not None:
            self.observe(self._evaluation)

    def observe(self, figures: TuningProgress) -> None:
        """An evaluation's figures; one that is not defined is left out."""
        self._evaluation = figures
        ray_metrics.set_gauge(ray_metrics.VAL_NLL, figures.val_nll, **self.of_trial)
        ray_metrics.set_gauge(ray_metrics.VAL_ECE, figures.val_ece, **self.of_trial)
        ray_metrics.set_gauge(ray_metrics.VAL_AUROC, figures.val_auroc, **self.of_trial)
