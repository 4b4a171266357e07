"""How calibration tuning is done; the defaults are the paper's (arXiv 2406.08391, appendix)."""

from dataclasses import dataclass, field
import math
from typing import Literal, get_args

from raycalib.errors import ConfigError
from raycalib.lm.lora_settings import LoraSettings

KlKind = Literal["jsd", "forward", "reverse"]
KL_KINDS: tuple[str, ...] = get_args(KlKind)
ZERO_STAGES = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """Settings of LoRA + Prompt.

    Attributes:
        steps: optimizer steps.
        global_batch_size: rows per step over all workers; which rows make a step does not depend on their number.
        micro_batch_size: rows per pass of one worker.
        lr: peak learning rate of AdamW, after a linear warm-up and before a cosine decay to zero.
        warmup_steps: of the warm-up.
        weight_decay: of AdamW.
        max_grad_norm: gradients are clipped to this norm.
        kl_decay: weight of the divergence from the base model on the true answers; 0 leaves it out.
        kl_kind: ``jsd``, ``forward`` KL(base ‖ tuned) or ``reverse`` KL(tuned ‖ base).
        max_tokens: longer texts lose the left of their context, never their query.
        eval_every: the query's NLL on ``val_select``, at its best temperature, is taken after every so many steps; the
            best step is kept.
        checkpoint_every: a checkpoint is written after every so many steps.
        zero_stage: DeepSpeed's ZeRO stage.
        lora: the adapter.
    """

    steps: int = 5000
    global_batch_size: int = 16
    micro_batch_size: int = 4
    lr: float = 1e-4
    warmup_steps: int = 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    kl_decay: float = 1.0
    kl_kind: KlKind = "jsd"
    max_tokens: int = 2048
    eval_every: int = 500
    checkpoint_every: int = 500
    zero_stage: int = 0
    lora: LoraSettings = field(default_factory=LoraSettings)

    def __post_init__(self) -> None:
        at_least_one = (
            "steps",
            "global_batch_size",
            "micro_batch_size",
            "max_tokens",
            "eval_every",
            "checkpoint_every",
        )
        problems = [
            f"tuning.{name}: {getattr(self, name)} is not allowed; at least 1"
            for name in at_least_one
            if getattr(self, name) < 1
        ]
        problems += [
            f"tuning.{name}: {getattr(self, name)} is not allowed; at least 0"
            for name in ("warmup_steps", "weight_decay", "kl_decay")
            if not 0 <= getattr(self, name) < math.inf
        ]
        problems += [
            f"tuning.{name}: {getattr(self, name)} is not allowed; above 0"
            for name in ("lr", "max_grad_norm")
            if not 0 < getattr(self, name) < math.inf
        ]
        if self.kl_kind not in KL_KINDS:
            problems.append(f"tuning.kl_kind: {self.kl_kind!r} is unknown; allowed: {', '.join(KL_KINDS)}")
        if self.zero_stage not in ZERO_STAGES:
            problems.append(f"tuning.zero_stage: {self.zero_stage} is not allowed; one of {ZERO_STAGES}")
        if problems:
            raise ConfigError("; ".join(problems))


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """How a probe is fitted.

    Attributes:
        steps: optimizer steps, at least 1.
        batch_size: rows per step.
        lr: peak learning rate of AdamW under a cosine decay.
        weight_decay: of AdamW.
        eval_every: validation NLL is taken after every so many steps; the best step is kept.
    """

    steps: int = 1000
    batch_size: int = 64
    lr: float = 3e-4
    weight_decay: float = 0.01
    eval_every: int = 50

    def __post_init__(self) -> None:
        problems = [
            f"probe.{name}: {getattr(self, name)} is not allowed; at least 1"
            for name in ("steps", "batch_size", "eval_every")
            if getattr(self, name) < 1
        ]
        if not 0 < self.lr < math.inf:
            problems.append(f"probe.lr: {self.lr} is not allowed; above 0")
        if problems:
            raise ConfigError("; ".join(problems))
