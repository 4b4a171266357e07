"""Dropout of adapters that depends on the row alone: not on the batch, the worker, or what was drawn before."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from raycalib.errors import ModelError
from raycalib.hashing import stable_seed

LEVELS = 1 << 16
"""Probabilities are multiples of 1 / 65,536: four decisions are cut from each random 64-bit number."""


class RowDropouts:
    """Puts dropouts that know their rows in place of an adapter's own.

    Attributes:
        seeds: one number per row of the coming pass; empty switches dropout off.
        lengths: tokens of each row, and those of each row that the last layer reads: which of the two a module is
            given shows in its input's length.
    """

    def __init__(self, model: nn.Module) -> None:
        from peft.tuners.lora import LoraLayer  # reading texts alone needs no peft

        self.seeds: Sequence[int] = ()
        self.lengths: tuple[Sequence[int], Sequence[int]] = ((), ())
        layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
        for number, layer in enumerate(layers):
            for name, dropout in list(layer.lora_dropout.items()):
                if isinstance(dropout, RowDropout):
                    dropout.rows = self
                elif isinstance(dropout, nn.Dropout) and dropout.p > 0:
                    layer.lora_dropout[name] = RowDropout(self, dropout.p, number)

    def lengths_of(self, n_tokens: int) -> Sequence[int]:
        """The rows' lengths in an input of so many tokens.

        Raises:
            ModelError: it is made of neither all tokens nor those that are read.
        """
        for lengths in self.lengths:
            if sum(lengths) == n_tokens:
                return lengths
        raise ModelError(
            f"lora.targets: a layer is given {n_tokens} tokens of a batch of {sum(self.lengths[0])}, so its dropout "
            "cannot follow the rows; use --tuning.lora.dropout 0"
        )


class RowDropout(nn.Module):
    """Dropout whose mask is a function of the row's seed, the layer and the token's place in the row.

    Args:
        rows: of the coming pass.
        p: probability of a zero, rounded to a multiple of 1 / 65,536.
        number: the layer's, so that layers draw differently.
    """

    def __init__(self, rows: RowDropouts, p: float, number: int) -> None:
        super().__init__()
        self.rows = rows
        self.n_dropped = round(p * LEVELS)
        self.number = number

    def forward(self, states: Tensor) -> Tensor:
        """(1, N, H): some entries 0, the others scaled up so that the mean stays."""
        if not self.training or not self.rows.seeds or not self.n_dropped:
            return states
        size = states.shape[-1]
        lengths = self.rows.lengths_of(states.shape[1])
        drawn = [
            self._decisions(seed, length * size, states.device)
            for seed, length in zip(self.rows.seeds, lengths, strict=True)
        ]
        scale = LEVELS / (LEVELS - self.n_dropped)
        return states * torch.cat(drawn).to(states.dtype).mul_(scale).view(1, -1, size)

    def _decisions(self, seed: int, n: int, device: torch.device) -> Tensor:
        """(n,) bool, True where an entry is kept."""
        generator = torch.Generator(device).manual_seed(stable_seed("dropout", seed, self.number) % 2**63)
        numbers = torch.empty(-(-n // 4), dtype=torch.int64, device=device)
        numbers.random_(-(2**63), None, generator=generator)
        return numbers.view(torch.int16)[:n] >= self.n_dropped - LEVELS // 2

    def extra_repr(self) -> str:
        """As PyTorch's own."""
        return f"p={self.n_dropped / LEVELS:g}"
