"""Probe: a small classifier on the frozen model's last hidden state after the answer."""

from dataclasses import dataclass
from itertools import pairwise
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from raycalib.errors import DataError
from raycalib.tuning.settings import ProbeSettings

HIDDEN_SIZES = (256, 128, 64)


class Probe(nn.Module):
    """MLP H-256-128-64-2 with ReLU (arXiv 2406.08391), on features standardized by their training mean and scale."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        sizes = (n_features, *HIDDEN_SIZES)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 2))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, 2) logits of not correct and correct from (B, H) features."""
        logits: torch.Tensor = self.layers((features - self.mean) / self.scale)
        return logits

    @torch.no_grad()
    def margin(self, features: np.ndarray) -> np.ndarray:
        """(n,) float64 log-odds that the answers are correct."""
        logits = self(torch.as_tensor(features)).double()
        margins: np.ndarray = (logits[:, 1] - logits[:, 0]).numpy()
        return margins


@dataclass(frozen=True, kw_only=True)
class ProbeFit:
    """A fitted probe, the step that was kept, and the validation NLL by step."""

    probe: Probe
    best_step: int
    history: tuple[tuple[int, float], ...]


def fit_probe(
    features: np.ndarray,
    labels: np.ndarray,
    val_features: np.ndarray,
    val_labels: np.ndarray,
    settings: ProbeSettings,
    seed: int,
) -> ProbeFit:
    """Fits on the first set, keeps the step with the least NLL on the second.

    Args:
        features: (n, H) float32.
        labels: (n,) 0 or 1.
        val_features: (m, H).
        val_labels: (m,).
        settings: steps, batch size, learning rate.
        seed: of the weights and the order of rows.

    Raises:
        DataError: an empty set.
    """
    if not len(features) or not len(val_features):
        raise DataError(f"probe: {len(features)} training and {len(val_features)} validation rows; needs both")
    x, y = torch.as_tensor(features), torch.as_tensor(labels).long()
    val_x, val_y = torch.as_tensor(val_features), torch.as_tensor(val_labels).long()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = Probe(x.shape[1])
    probe.mean.copy_(x.mean(dim=0))
    probe.scale.copy_(x.std(dim=0).clamp(min=1e-6) if len(x) > 1 else torch.ones_like(probe.scale))
    optimizer = torch.optim.AdamW(probe.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    generator = np.random.default_rng(seed)
    order = np.concatenate(
        [generator.permutation(len(x)) for _ in range(math.ceil(settings.steps * settings.batch_size / len(x)))]
    )
    best, best_state, history = math.inf, probe.state_dict(), []
    for step in range(1, settings.steps + 1):
        rows = order[(step - 1) * settings.batch_size : step * settings.batch_size]
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * 0.5 * (1 + math.cos(math.pi * (step - 1) / settings.steps))
        loss = functional.cross_entropy(probe(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % settings.eval_every == 0 or step == settings.steps:
            with torch.no_grad():
                val_nll = float(functional.cross_entropy(probe(val_x), val_y))
            history.append((step, val_nll))
            if val_nll < best:
                best, best_state = val_nll, {name: value.clone() for name, value in probe.state_dict().items()}
    probe.load_state_dict(best_state)
    best_step = min(history, key=lambda pair: pair[1])[0]
    return ProbeFit(probe=probe.eval(), best_step=best_step, history=tuple(history))
