"""What a tuning run reports while it runs."""

from dataclasses import dataclass
import math


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """Of one step, over all workers' rows.

    Attributes:
        step, steps: steps done, and of the whole run.
        loss: query loss plus ``kl_decay`` times divergence, mean over rows, in nats.
        query_loss, divergence: its parts.
        lr: learning rate of the step.
        grad_norm: of the gradient before it is clipped; None where DeepSpeed does not say.
        rows, tokens: that all workers have read since the last report.
        tokens_per_s: of these tokens, reference pass and evaluations left out.
        memory_gib: most memory that the first worker has held: of its GPU, or of the process.
    """

    step: int
    steps: int
    loss: float
    query_loss: float
    divergence: float
    lr: float
    grad_norm: float | None
    rows: int
    tokens: float
    tokens_per_s: float
    memory_gib: float


@dataclass(frozen=True, kw_only=True)
class TuningProgress:
    """What is reported at each evaluation: means over the step's rows, and figures on ``val_select``.

    ``val_nll`` and ``val_ece`` are taken at the temperature that suits ``val_select`` best: the temperature is fitted
    later, on other rows, so a step is judged by what it tells apart and not by how sharp it is.
    """

    step: int
    steps: int
    query_loss: float
    divergence: float
    val_nll: float
    val_auroc: float
    val_ece: float


def plain_figures(figures: TuningProgress | StepFigures) -> dict[str, float | None]:
    """The figures as JSON has them: undefined is null; without what only says how far apart reports are."""
    values = {name: value for name, value in vars(figures).items() if name not in ("steps", "rows", "tokens")}
    return {
        name: float(value) if value is not None and math.isfinite(value) else None for name, value in values.items()
    }
