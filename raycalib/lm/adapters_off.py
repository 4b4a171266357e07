"""The base model by way of the adapted one."""

from collections.abc import Iterator
from contextlib import contextmanager

from peft.tuners.lora import LoraLayer
from torch import nn


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Within, LoRA's updates are multiplied by zero, so that the model computes what its base does.

    The same modules run as otherwise: ZeRO-3, which learns their order, does not notice. The scales are restored.
    """
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    before = [dict(layer.scaling) for layer in layers]
    try:
        for layer in layers:
            layer.scaling.update(dict.fromkeys(layer.scaling, 0.0))
        yield
    finally:
        for layer, scaling in zip(layers, before, strict=True):
            layer.scaling.update(scaling)
