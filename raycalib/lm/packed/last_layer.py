"""The last layer computed only where its output is read."""

from typing import Any

from torch import Tensor, nn


class LastLayerReads:
    """Narrows the last decoder layer to the positions that are read.

    Every token's key and value are needed there, but queries, the attention's output projection and the MLP only at the
    positions whose final state something reads: of N tokens, R. Final states elsewhere are wrong, and finite.

    Attributes:
        positions: (R,) int64, distinct, of the coming pass; None computes all.
    """

    def __init__(self, decoder: nn.Module) -> None:
        """Hooks into a decoder whose last layer is built as Llama's; others are left as they are."""
        self.positions: Tensor | None = None
        for module in _narrowed(decoder):
            _Narrowing(self, module)


def _narrowed(decoder: nn.Module) -> list[nn.Module]:
    """The parts of the last layer that work on each token alone."""
    layer = list(decoder.get_submodule("layers").children())[-1]
    attention, mlp = getattr(layer, "self_attn", None), getattr(layer, "mlp", None)
    parts = [getattr(attention, "q_proj", None), getattr(attention, "o_proj", None)]
    parts += [mlp] if isinstance(getattr(mlp, "down_proj", None), nn.Module) else []
    return [part for part in parts if isinstance(part, nn.Module)]


class _Narrowing:
    """Takes the read positions out of a module's input and puts its output back among zeros."""

    def __init__(self, reads: LastLayerReads, module: nn.Module) -> None:
        self.reads = reads
        self.n_tokens = 0
        module.register_forward_pre_hook(self.before)
        module.register_forward_hook(self.after)

    def before(self, module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self.reads.positions is None:
            return None
        states: Tensor = arguments[0]
        self.n_tokens = states.shape[1]
        return (states.index_select(1, self.reads.positions), *arguments[1:])

    def after(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if self.reads.positions is None:
            return None
        whole = output.new_zeros(output.shape[0], self.n_tokens, *output.shape[2:])
        return whole.index_copy(1, self.reads.positions, output)
