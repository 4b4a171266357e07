"""How calibration tuning is done; the defaults are the paper's (arXiv 2406.08391, appendix)."""

from dataclasses import dataclass, field
import math
from typing import Literal, get_args

from raycalib.errors import ConfigError
from raycalib.lm.lora_settings import LoraSettings
from raycalib.lm.names import WEIGHT_BITS, WeightBits

KlKind = Literal["jsd", "forward", "reverse"]
KL_KINDS: tuple[str, ...] = get_args(KlKind)
ZERO_STAGES = (0, 1, 2, 3)
Schedule = Literal["cosine", "wsd"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)
ReferenceDtype = Literal["model", "bfloat16", "float32"]
REFERENCE_DTYPES: tuple[str, ...] = get_args(ReferenceDtype)


TuningMethod = Literal["lora_prompt", "lora", "probe"]
TUNING_METHODS: tuple[str, ...] = get_args(TuningMethod)

UNDECISIVE = frozenset(
    {
        "checkpoint_every",
        "force_one_class",
        "gradient_checkpointing",
        "log_every",
        "micro_batch_size",
        "offload_optimizer",
        "offload_parameters",
        "zero_persistence_threshold",
        "zero_stage",
    }
)
"""Settings that change how a run is done and not what comes of it: a run may go on with others."""

OF_LENGTH = frozenset({"steps", "decay_share"})
"""Settings by which runs under ``wsd`` may differ that share their beginning."""


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """Settings of what is tuned through the model.

    Attributes:
        method: ``lora_prompt`` tunes an adapter on the uncertainty query; ``lora`` an adapter and a classifier on the
            hidden state after the answer, together; ``probe`` the classifier alone, the model frozen (on stored
            features, as the settings of ``probe`` have it, that takes seconds).
        steps: optimizer steps.
        train_rows: at most so many rows are tuned on, always the same of them, those of fewer among those of more; 0 is
            all.
        global_batch_size: rows per step over all workers; which rows make a step does not depend on their number.
        micro_batch_size: rows per pass of one worker.
        lr: peak learning rate of AdamW, after a linear warm-up and before the decay of ``schedule``.
        warmup_steps: of the warm-up.
        schedule: of the learning rate after the warm-up. ``cosine`` (the paper's) falls to zero over the whole run;
            ``wsd`` (warm-up, stable, decay) stays at the peak and falls to zero over the last steps alone, so that runs
            that differ in ``steps`` share their beginning and compute it once.
        decay_share: share of the steps that the decay of ``wsd`` takes, above 0 and at most 1; ``cosine`` has no use
            for it.
        weight_decay: of AdamW.
        max_grad_norm: gradients are clipped to this norm.
        kl_decay: weight of the divergence from the base model on the true answers, of ``lora_prompt``; 0 leaves it out.
        kl_kind: ``jsd``, ``forward`` KL(base ‖ tuned) or ``reverse`` KL(tuned ‖ base).
        max_tokens: longer texts lose the left of their context, never their query; in tuning, features and scoring
            alike. The run's own ``max_tokens`` and the model's window may be smaller.
        eval_every: the query's NLL on ``val_select``, at its best temperature, is taken after every so many steps and
            after the last; the best step is kept.
        checkpoint_every: a checkpoint is written after every so many steps.
        log_every: loss, learning rate, gradient norm, tokens/s and memory are logged after every so many steps.
        reference_dtype: of the base model's stored states; ``model`` is the model's own. Those of float32 models take
            half the space in bfloat16 and are a little less exact.
        base_bits: of the frozen weights while tuning: 16, or 8 or 4 by bitsandbytes (``raycalib[quant]``), which take
            less memory and more time. Scoring uses the model's own dtype.
        gradient_checkpointing: layers are computed again on the way back, for less memory and about half the time more.
        zero_stage: DeepSpeed's ZeRO stage: 1 and 2 split the optimizer over the workers, 3 the model too.
        zero_persistence_threshold: ZeRO-3 keeps tensors with fewer numbers than this whole.
        offload_optimizer: AdamW's state in the host's memory; needs a ZeRO stage.
        offload_parameters: the model in the host's memory, by parts on the GPU; needs ZeRO-3.
        force_one_class: tune also where all labels of ``train`` or ``val_select`` are 1, or all are 0; else such a run
            stops before tuning.
        lora: the adapter.
    """

    method: TuningMethod = "lora_prompt"
    steps: int = 5000
    train_rows: int = 0
    global_batch_size: int = 16
    micro_batch_size: int = 4
    lr: float = 1e-4
    warmup_steps: int = 0
    schedule: Schedule = "cosine"
    decay_share: float = 0.2
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    kl_decay: float = 1.0
    kl_kind: KlKind = "jsd"
    max_tokens: int = 2048
    eval_every: int = 500
    checkpoint_every: int = 500
    log_every: int = 10
    reference_dtype: ReferenceDtype = "model"
    base_bits: WeightBits = 16
    gradient_checkpointing: bool = False
    zero_stage: int = 0
    zero_persistence_threshold: int = 100_000
    offload_optimizer: bool = False
    offload_parameters: bool = False
    force_one_class: bool = False
    lora: LoraSettings = field(default_factory=LoraSettings)

    def __post_init__(self) -> None:
        at_least_one = (
            "steps",
            "global_batch_size",
            "micro_batch_size",
            "max_tokens",
            "eval_every",
            "checkpoint_every",
            "log_every",
        )
        problems = [
            f"tuning.{name}: {getattr(self, name)} is not allowed; at least 1"
            for name in at_least_one
            if getattr(self, name) < 1
        ]
        problems += [
            f"tuning.{name}: {getattr(self, name)} is not allowed; at least 0"
            for name in ("train_rows", "warmup_steps", "weight_decay", "kl_decay", "zero_persistence_threshold")
            if not 0 <= getattr(self, name) < math.inf
        ]
        problems += [
            f"tuning.{name}: {getattr(self, name)} is not allowed; above 0"
            for name in ("lr", "max_grad_norm")
            if not 0 < getattr(self, name) < math.inf
        ]
        if self.method not in TUNING_METHODS:
            problems.append(f"tuning.method: {self.method!r} is unknown; allowed: {', '.join(TUNING_METHODS)}")
        if self.kl_kind not in KL_KINDS:
            problems.append(f"tuning.kl_kind: {self.kl_kind!r} is unknown; allowed: {', '.join(KL_KINDS)}")
        if self.schedule not in SCHEDULES:
            problems.append(f"tuning.schedule: {self.schedule!r} is unknown; allowed: {', '.join(SCHEDULES)}")
        if not 0 < self.decay_share <= 1:
            problems.append(f"tuning.decay_share: {self.decay_share} is not allowed; above 0 and at most 1")
        if self.zero_stage not in ZERO_STAGES:
            problems.append(f"tuning.zero_stage: {self.zero_stage} is not allowed; one of {ZERO_STAGES}")
        if self.reference_dtype not in REFERENCE_DTYPES:
            allowed = ", ".join(REFERENCE_DTYPES)
            problems.append(f"tuning.reference_dtype: {self.reference_dtype!r} is unknown; allowed: {allowed}")
        if self.base_bits not in WEIGHT_BITS:
            problems.append(f"tuning.base_bits: {self.base_bits} is not allowed; one of {WEIGHT_BITS}")
        if self.base_bits < 16 and self.zero_stage == 3:
            problems.append("tuning.base_bits: ZeRO-3 cannot split quantized weights; use 16, or --tuning.zero-stage 2")
        if self.offload_optimizer and not self.zero_stage:
            problems.append("tuning.offload_optimizer: needs --tuning.zero-stage 1, 2 or 3")
        if self.offload_parameters and self.zero_stage != 3:
            problems.append("tuning.offload_parameters: needs --tuning.zero-stage 3")
        if problems:
            raise ConfigError("; ".join(problems))

    @property
    def kl_weight(self) -> float:
        """``kl_decay`` where the method has a divergence: a classifier leaves the model's answers alone."""
        return self.kl_decay if self.method == "lora_prompt" else 0.0


def check_workers(settings: TuningSettings, n_workers: int) -> None:
    """Checks that there are workers to split over: one alone computes without DeepSpeed, and would keep all it holds.

    Raises:
        ConfigError: there is one worker, and a ZeRO stage, which offloading needs, is set.
    """
    if n_workers > 1 or not settings.zero_stage:
        return
    offloads = {"offload_optimizer": settings.offload_optimizer, "offload_parameters": settings.offload_parameters}
    more = "".join(f", tuning.{name}: True" for name, is_set in offloads.items() if is_set)
    raise ConfigError(
        f"tuning.zero_stage: {settings.zero_stage}{more} is not allowed with one worker, which has no other to split "
        "with; raise --ray.train-workers to 2 or more, or use --tuning.zero-stage 0 without offloading"
    )


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
