"""Temperature scaling: one scalar that makes a query's confidence true on average."""

from dataclasses import dataclass
import math

import numpy as np
import torch
from torch.nn import functional

from raycalib.errors import DataError

LOG_TEMPERATURE_LIMIT = 6.0
GRID_POINTS = 49


@dataclass(frozen=True)
class Temperature:
    """``logits / exp(log_temperature)``; stored as a logarithm so that it cannot cross zero.

    Attributes:
        log_temperature: natural logarithm of T.
        n: rows it was fitted on.
        nll_before, nll_after: mean negative log-likelihood on those rows in nats.
    """

    log_temperature: float
    n: int
    nll_before: float
    nll_after: float

    @property
    def value(self) -> float:
        """T > 0; above 1 it makes confidences less extreme."""
        return math.exp(self.log_temperature)

    def apply(self, margin: np.ndarray) -> np.ndarray:
        """Log-odds divided by T, shape unchanged. The order of distinct values, and so AUROC, stays."""
        scaled: np.ndarray = np.asarray(margin, dtype=np.float64) / self.value
        return scaled


def fit_temperature(margin: np.ndarray, labels: np.ndarray) -> Temperature:
    """The temperature with the least NLL, by L-BFGS in float64.

    Args:
        margin: (n,) log-odds that the answer is correct (logit of yes minus logit of no).
        labels: (n,) 0 or 1.

    Raises:
        DataError: no rows, unequal lengths, or a margin that is not finite.

    Source: Guo et al. 2017, arXiv 1706.04599, section 4.2.
    """
    margins = torch.as_tensor(np.asarray(margin, dtype=np.float64))
    targets = torch.as_tensor(np.asarray(labels, dtype=np.float64))
    if margins.ndim != 1 or margins.shape != targets.shape or not len(margins):
        raise DataError(
            f"temperature: expected two equally long, non-empty vectors, got {tuple(margins.shape)} and "
            f"{tuple(targets.shape)}"
        )
    if not bool(torch.isfinite(margins).all()):
        raise DataError("temperature: a margin is not finite; leave unscored rows out")

    def nll(log_temperature: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(margins * torch.exp(-log_temperature), targets)

    before = nll(torch.zeros((), dtype=torch.float64)).item()
    # The NLL is convex in 1/T but flat where T is large: L-BFGS starts from the best point of a coarse grid.
    grid = torch.linspace(-LOG_TEMPERATURE_LIMIT, LOG_TEMPERATURE_LIMIT, GRID_POINTS, dtype=torch.float64)
    start = min(grid, key=lambda point: nll(point).item())
    log_t = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [log_t], max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nll(log_t)
        loss.backward()
        return loss

    optimizer.step(closure)
    ended = log_t.detach().clamp(-LOG_TEMPERATURE_LIMIT, LOG_TEMPERATURE_LIMIT)
    best = min((ended, start), key=lambda point: nll(point).item())
    return Temperature(log_temperature=best.item(), n=len(margins), nll_before=before, nll_after=nll(best).item())
