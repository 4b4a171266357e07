"""What trials have taken: seconds, GPU-hours, dollars."""

from collections.abc import Sequence
from dataclasses import dataclass

from raycalib.plans.gpu_prices import GpuPrice
from raycalib.sweeps.time_left import SECONDS, hours_text
from raycalib.sweeps.trials import Trial


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one trial or of several.

    Attributes:
        seconds: of wall time in each, summed; None where nothing noted them.
        gpu_hours: None where no GPU was used.
        dollars: None where the GPU's price is not known, or none was used.
        n_unknown: trials whose time nothing noted.
    """

    seconds: float | None
    gpu_hours: float | None
    dollars: float | None
    n_unknown: int

    @property
    def line(self) -> str:
        """As it is read; empty where nothing is known.

        >>> Cost(seconds=7200.0, gpu_hours=4.0, dollars=12.0, n_unknown=1).line
        '7,200 s of trials, 4.0 GPU-hours, $12.00; the time of 1 is not known'
        """
        if self.seconds is None:
            return ""
        parts = [f"{self.seconds:,.0f} s of trials"]
        parts += [f"{hours_text(self.gpu_hours)} GPU-hours"] if self.gpu_hours is not None else []
        parts += [f"${self.dollars:,.2f}"] if self.dollars is not None else []
        return ", ".join(parts) + (f"; the time of {self.n_unknown} is not known" if self.n_unknown else "")


def cost_of(trials: Sequence[Trial], price: GpuPrice | None = None) -> Cost:
    """What the trials took, failed ones among them.

    Args:
        trials: in all.
        price: of the GPUs that they had.
    """
    known = [(trial.seconds, trial.gpus or 0) for trial in trials if trial.seconds is not None]
    hours = sum(seconds * gpus for seconds, gpus in known) / SECONDS if any(gpus for _, gpus in known) else None
    return Cost(
        seconds=sum(seconds for seconds, _ in known) if known else None,
        gpu_hours=hours,
        dollars=None if hours is None or price is None else hours * price.dollars_per_hour,
        n_unknown=sum(trial.seconds is None for trial in trials if trial.key),
    )
