"""The last layer computed only where its output is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class LastLayerReads:
    """Narrows the last decoder layer to the positions that are read.

    Every token's key and value are needed there, but queries, the attention of packed rows, its output projection and
    the MLP only at the positions whose final state something reads: of N tokens, R. Other final states are wrong, and
    finite.
    """

    def __init__(self, decoder: nn.Module) -> None:
        """Hooks into a decoder whose last layer is built as Llama's; others are left as they are."""
        self.positions: Tensor | None = None
        self.n_tokens = 0
        self._hooks = [hook for module in _narrowed(decoder) for hook in _Narrowing(self, module).hooks]
        if attention := _last_part(decoder, "self_attn"):
            self._hooks.append(attention.register_forward_pre_hook(self._tell_attention, with_kwargs=True))

    def remove(self) -> None:
        """Leaves the decoder as it was found."""
        for hook in self._hooks:
            hook.remove()

    def narrow(self, positions: Tensor, n_tokens: int) -> None:
        """Of the coming pass, over so many tokens a row, only these places are read.

        Args:
            positions: distinct ones, (R,) for all rows alike; or (B, R), of each row its own.
            n_tokens: of a row, padding included.
        """
        self.positions, self.n_tokens = positions, n_tokens

    def widen(self) -> None:
        """All places are read again."""
        self.positions = None

    def _tell_attention(
        self, module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if self.positions is None or named.get("packed_rows") is None:
            return None
        return arguments, named | {"read": self.positions}


@contextmanager
def reading_alone(decoder: nn.Module, positions: Tensor, n_tokens: int) -> Iterator[None]:
    """Within it, the decoder's last layer is narrowed as by ``LastLayerReads.narrow``."""
    reads = LastLayerReads(decoder)
    reads.narrow(positions, n_tokens)
    try:
        yield
    finally:
        reads.remove()


def _last_part(decoder: nn.Module, name: str) -> nn.Module | None:
    """A part of the last layer, where the decoder has it."""
    layers = getattr(decoder, "layers", None)
    part = getattr(layers[-1], name, None) if isinstance(layers, nn.ModuleList) else None
    return part if isinstance(part, nn.Module) else None


def _narrowed(decoder: nn.Module) -> list[nn.Module]:
    """The parts of the last layer that work on each token alone."""
    attention, mlp = _last_part(decoder, "self_attn"), _last_part(decoder, "mlp")
    parts = [getattr(attention, "q_proj", None), getattr(attention, "o_proj", None)]
    parts += [mlp] if isinstance(getattr(mlp, "down_proj", None), nn.Module) else []
    return [part for part in parts if isinstance(part, nn.Module)]


class _Narrowing:
    """Takes the read positions out of a module's input and puts its output back among zeros."""

    def __init__(self, reads: LastLayerReads, module: nn.Module) -> None:
        self.reads = reads
        self.is_narrow = False
        self.hooks = [module.register_forward_pre_hook(self.before), module.register_forward_hook(self.after)]

    def before(self, module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        states: Tensor = arguments[0]
        positions = self.reads.positions
        self.is_narrow = positions is not None and _has_rows(states, positions, self.reads.n_tokens)
        if positions is None or not self.is_narrow:
            return None
        if positions.ndim == 1:
            return (states.index_select(1, positions), *arguments[1:])
        return (states.gather(1, _wide(positions, states)), *arguments[1:])

    def after(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor | None:
        positions = self.reads.positions
        if positions is None or not self.is_narrow:
            return None
        whole = output.new_zeros(output.shape[0], self.reads.n_tokens, *output.shape[2:])
        if positions.ndim == 1:
            return whole.index_copy(1, positions, output)
        return whole.scatter(1, _wide(positions, output), output)


def _has_rows(states: Tensor, positions: Tensor, n_tokens: int) -> bool:
    """Whether (B, N, H) states are those of all tokens of the rows."""
    is_all = states.shape[1:-1] == (n_tokens,)
    return is_all and (positions.ndim == 1 or len(positions) == len(states))


def _wide(positions: Tensor, states: Tensor) -> Tensor:
    """(B, R, H) positions from (B, R), for states of H numbers."""
    return positions[:, :, None].expand(-1, -1, states.shape[-1])
