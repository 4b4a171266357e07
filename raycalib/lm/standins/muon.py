"""Muon whose updates are computed in the precision of the weights."""

from collections.abc import Callable
import math
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton–Schulz iteration (Keller Jordan, https://kellerjordan.github.io/posts/muon/)."""

ITERATIONS = 5


class FullPrecisionMuon(torch.optim.Muon):
    """``torch.optim.Muon`` without its bfloat16, which CPUs that have no instructions for it compute very slowly."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """One step of all matrices that have a gradient, without weight decay.

        Raises:
            ValueError: a closure or weight decay is given, which no stand-in needs.
        """
        if closure is not None or any(group["weight_decay"] for group in self.param_groups):
            raise ValueError("neither a closure nor weight decay is known here")
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight.grad)
                mean = state["momentum_buffer"].lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalized(weight.grad.lerp(mean, group["momentum"]))
                wider = math.sqrt(max(1, weight.shape[0] / weight.shape[1]))
                weight.add_(update, alpha=-group["lr"] * wider)


def orthogonalized(matrix: torch.Tensor, epsilon: float = 1e-7) -> torch.Tensor:
    """A matrix with about the same singular vectors, and singular values between about 0.7 and 1.2."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.T if is_tall else matrix
    found = found / found.norm().clamp(min=epsilon)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.T if is_tall else found
