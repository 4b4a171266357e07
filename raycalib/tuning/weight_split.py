"""Splits a model's frozen weights among workers as ZeRO-3 wants them, a piece at a time."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from raycalib.lm.weight_check import check_finite
from raycalib.tuning.objective import CalibrationObjective

AT_ONCE = 1 << 26
"""Parameters that are spelled out at once: more are split by the modules that they belong to."""


def split_weights(objective: CalibrationObjective, config: dict[str, Any], dtype: torch.dtype | None) -> None:
    """Leaves each worker its part of every weight; all workers call it together.

    Neither a GPU nor a worker's own memory ever holds the whole model: weights that lie in the CPU's memory as they are
    mapped from their files are taken from there piece by piece.

    Args:
        objective: with the model on the CPU.
        config: DeepSpeed's.
        dtype: of the frozen weights from now on, of those that are in the model's dtype; None leaves it as it is.

    Raises:
        ModelError: weights are not finite; all workers see it alike.
    """
    import deepspeed

    names = {id(parameter): name for name, parameter in objective.causal_lm.named_parameters()}
    stored = objective.causal_lm.dtype
    dtype = dtype or stored
    for piece in pieces(objective, AT_ONCE):
        whole = [parameter for parameter in piece.parameters() if not hasattr(parameter, "ds_id")]
        # Here, where each page is read from its file anyway: a check of its own would read them all twice.
        check_finite(((names.get(id(parameter), "head"), parameter) for parameter in whole), "model: the base has")
        for parameter in whole:
            if not parameter.requires_grad and parameter.dtype == stored:
                parameter.data = parameter.data.to(dtype)
        deepspeed.zero.Init(module=piece, config_dict_or_path=config)
    if objective.label_weight is not None:
        objective.label_weight = objective.label_weight.to(dtype).float()  # rounded as the head's other rows
    if objective.label_bias is not None:
        objective.label_bias = objective.label_bias.to(dtype).float()


def pieces(module: nn.Module, at_once: int) -> Iterator[nn.Module]:
    """Modules that together hold all parameters, each of few or without submodules; some lie within later ones."""
    if sum(parameter.numel() for parameter in module.parameters()) > at_once:
        for child in module.children():
            yield from pieces(child, at_once)
    yield module
