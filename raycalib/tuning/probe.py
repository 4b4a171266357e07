"""Probe: a small classifier on the frozen model's last hidden state after the answer."""

from itertools import pairwise

import numpy as np
import torch
from torch import nn

from raycalib.errors import DataError
from raycalib.tuning.features import Features, float32_rows

HIDDEN_SIZES = (256, 128, 64)
MARGIN_ROWS = 4096


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
    def logits(self, features: Features) -> np.ndarray:
        """(n, 2) float64 logits of not correct and correct, from (n, H) features of any float type."""
        logits: np.ndarray = self(float32_rows(features)).double().numpy()
        return logits

    @torch.no_grad()
    def margin(self, features: Features) -> np.ndarray:
        """(n,) float64 log-odds that the answers are correct, from (n, H) features of any float type.

        Raises:
            DataError: features of another width.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise DataError(
                f"probe: features of shape {tuple(features.shape)}; this one reads rows of {len(self.mean)} features, "
                "those of the model and layer that it was fitted on"
            )
        margins = np.empty(len(features), dtype=np.float64)
        for start in range(0, len(features), MARGIN_ROWS):
            logits = self(float32_rows(features[start : start + MARGIN_ROWS])).double()
            margins[start : start + MARGIN_ROWS] = (logits[:, 1] - logits[:, 0]).numpy()
        return margins
