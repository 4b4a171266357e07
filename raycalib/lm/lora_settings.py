"""Shape of a LoRA adapter."""

from dataclasses import dataclass

from raycalib.errors import ConfigError

ATTENTION_TARGETS = ("q_proj", "v_proj")
ALL_LINEAR_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """Shape of a LoRA adapter; the defaults are the paper's.

    Attributes:
        rank: of the update, at least 1.
        alpha: the update is scaled by ``alpha / rank``.
        dropout: on the adapter's input, in [0, 1).
        targets: names of the linear layers that are adapted.
    """

    rank: int = 8
    alpha: float = 32.0
    dropout: float = 0.1
    targets: tuple[str, ...] = ATTENTION_TARGETS

    def __post_init__(self) -> None:
        problems = []
        if self.rank < 1:
            problems.append(f"lora.rank: {self.rank} is not allowed; at least 1")
        if not 0 <= self.dropout < 1:
            problems.append(f"lora.dropout: {self.dropout} is not allowed; from 0 to below 1")
        if not self.targets:
            problems.append("lora.targets: () is not allowed; name at least one linear layer")
        if problems:
            raise ConfigError("; ".join(problems))
