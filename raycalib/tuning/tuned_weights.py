"""The tuned weights of a run's state, and into and out of the model."""

import numpy as np
import torch
from torch import Tensor, nn

from raycalib.tuning.checkpoint import TrainingState
from raycalib.tuning.engines import trainable

BEST_MARGINS = "best/validation/margins"
"""In a state's tensors, the log-odds of the rows that its best step was chosen by."""


def best_adapter(state: TrainingState) -> dict[str, Tensor]:
    """The adapter's weights at the best step, under the names that the adapted model has for them."""
    inner = "best/causal_lm."
    return {
        f"base_model.model.{name.removeprefix(inner)}": tensor
        for name, tensor in state.tensors.items()
        if name.startswith(inner)
    }


def best_head(state: TrainingState) -> dict[str, Tensor]:
    """The classifier's weights at the best step, under its own names; empty where there is none."""
    inner = "best/head."
    return {name.removeprefix(inner): tensor for name, tensor in state.tensors.items() if name.startswith(inner)}


def set_weights(objective: nn.Module, tensors: dict[str, Tensor], kind: str) -> None:
    """Puts ``<kind>/<name>`` into the trainable weights; not under ZeRO-3, where no worker has them whole.

    Args:
        objective: of the run.
        tensors: of its state.
        kind: ``weight`` for those of the state's step, ``best`` for those of its best step.
    """
    with torch.no_grad():
        for name, parameter in trainable(objective).items():
            parameter.copy_(tensors[f"{kind}/{name}"])


def best_margins(state: TrainingState) -> np.ndarray | None:
    """(n,) log-odds, as exact as float32, of the rows that the best step was chosen by; None in older checkpoints."""
    found = state.tensors.get(BEST_MARGINS)
    return None if found is None else found.double().cpu().numpy()
