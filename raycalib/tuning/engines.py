"""Optimizer steps on the tuning loss: by plain PyTorch in one process, or by DeepSpeed in a group of workers."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from raycalib.tuning.batches import TuningBatch
from raycalib.tuning.objective import CalibrationObjective
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.world import World

MOMENTS = ("exp_avg", "exp_avg_sq")


class MicroBatch(NamedTuple):
    """Rows of one pass; ``weight`` 0 where a worker has no rows left and only keeps step with the others."""

    batch: TuningBatch
    base_states: Tensor | None
    weight: float = 1.0


class StepSums(NamedTuple):
    """Sums over this worker's rows of a step."""

    query: float
    divergence: float


class TrainingEngine(Protocol):
    """What the tuning loop needs: a step, and the optimizer's moments by parameter name."""

    def step(self, micro_batches: Sequence[MicroBatch], n_global_rows: int, lr: float) -> StepSums:
        """One optimizer step on the mean loss over the step's global rows."""

    def moments(self) -> dict[str, Tensor]:
        """``exp_avg/<name>`` and ``exp_avg_sq/<name>``, whole. All workers call it together."""

    def load_moments(self, tensors: dict[str, Tensor], steps_done: int) -> None:
        """Sets what ``moments`` returned. All workers call it together."""


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The module's trainable parameters by name."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def make_engine(objective: CalibrationObjective, settings: TuningSettings, world: World) -> TrainingEngine:
    """DeepSpeed where a process group of several workers exists, else plain PyTorch: the same steps either way."""
    if world.size > 1:
        return DeepSpeedEngine(objective, settings, world)
    return TorchEngine(objective, settings)


def _adamw(objective: CalibrationObjective, settings: TuningSettings) -> torch.optim.AdamW:
    return torch.optim.AdamW(trainable(objective).values(), lr=settings.lr, weight_decay=settings.weight_decay)


class TorchEngine:
    """One process, no DeepSpeed: for a notebook, one GPU, and as the yardstick of the other engine."""

    def __init__(self, objective: CalibrationObjective, settings: TuningSettings) -> None:
        self.objective = objective
        self.settings = settings
        self.optimizer = _adamw(objective, settings)

    def step(self, micro_batches: Sequence[MicroBatch], n_global_rows: int, lr: float) -> StepSums:
        """One optimizer step; see ``TrainingEngine``."""
        query = divergence = 0.0
        for micro in micro_batches:
            parts = self.objective(micro.batch, micro.base_states)
            (parts.total * (micro.weight / n_global_rows)).backward()
            query += float(parts.query.detach()) * micro.weight
            divergence += float(parts.divergence.detach()) * micro.weight
        nn.utils.clip_grad_norm_(trainable(self.objective).values(), self.settings.max_grad_norm)
        _set_lr(self.optimizer.param_groups, lr)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return StepSums(query, divergence)

    def moments(self) -> dict[str, Tensor]:
        """The moments; see ``TrainingEngine``."""
        return _plain_moments(self.optimizer, trainable(self.objective))

    def load_moments(self, tensors: dict[str, Tensor], steps_done: int) -> None:
        """Sets the moments; see ``TrainingEngine``."""
        _load_plain_moments(self.optimizer, trainable(self.objective), tensors, steps_done)


class DeepSpeedEngine:
    """Several workers under DeepSpeed, ZeRO stage 0, 1 or 2."""

    def __init__(self, objective: CalibrationObjective, settings: TuningSettings, world: World) -> None:
        import deepspeed

        self.objective = objective
        self.world = world
        self.zero_stage = settings.zero_stage
        share = -(-settings.global_batch_size // world.size)
        self.accumulation = -(-share // settings.micro_batch_size)
        self.engine, _, _, _ = deepspeed.initialize(
            model=objective,
            optimizer=_adamw(objective, settings),
            config={
                "train_micro_batch_size_per_gpu": settings.micro_batch_size,
                "gradient_accumulation_steps": self.accumulation,
                "gradient_clipping": settings.max_grad_norm,
                "zero_optimization": {"stage": settings.zero_stage},
                "zero_allow_untested_optimizer": True,
                "zero_force_ds_cpu_optimizer": False,
                "steps_per_print": 10**9,
            },
        )

    def step(self, micro_batches: Sequence[MicroBatch], n_global_rows: int, lr: float) -> StepSums:
        """One optimizer step; DeepSpeed averages over workers and passes, so each pass is scaled up by both."""
        if len(micro_batches) != self.accumulation:
            raise AssertionError(f"{len(micro_batches)} micro batches, the engine takes {self.accumulation}")
        _set_lr(self.engine.optimizer.param_groups, lr)
        query = divergence = 0.0
        scale = self.world.size * self.accumulation / n_global_rows
        for micro in micro_batches:
            parts = self.engine(micro.batch, micro.base_states)
            self.engine.backward(parts.total * (scale * micro.weight))
            self.engine.step()
            query += float(parts.query.detach()) * micro.weight
            divergence += float(parts.divergence.detach()) * micro.weight
        return StepSums(query, divergence)

    def moments(self) -> dict[str, Tensor]:
        """The moments; see ``TrainingEngine``."""
        if self.zero_stage == 0:
            return _plain_moments(self.engine.optimizer, trainable(self.objective))
        from deepspeed.utils import safe_get_full_optimizer_state

        return {
            f"{key}/{name}": safe_get_full_optimizer_state(parameter, key)
            for name, parameter in trainable(self.objective).items()
            for key in MOMENTS
        }

    def load_moments(self, tensors: dict[str, Tensor], steps_done: int) -> None:
        """Sets the moments; see ``TrainingEngine``."""
        if self.zero_stage == 0:
            _load_plain_moments(self.engine.optimizer, trainable(self.objective), tensors, steps_done)
            return
        from deepspeed.utils import safe_set_full_optimizer_state

        self._create_partitioned_state(steps_done)
        for name, parameter in trainable(self.objective).items():
            for key in MOMENTS:
                safe_set_full_optimizer_state(parameter, tensors[f"{key}/{name}"], key)

    def _create_partitioned_state(self, steps_done: int) -> None:
        """AdamW makes its state at the first step: one with zero gradients at zero rates changes no weight."""
        zero, inner = self.engine.optimizer, self.engine.optimizer.optimizer
        rates = [(group["lr"], group["weight_decay"]) for group in inner.param_groups]
        for group in inner.param_groups:
            group["lr"], group["weight_decay"] = 0.0, 0.0
        for partition in zero.single_partition_of_fp32_groups:
            partition.grad = torch.zeros_like(partition)
        inner.step()
        for partition in zero.single_partition_of_fp32_groups:
            partition.grad = None
            inner.state[partition]["step"] = torch.tensor(float(steps_done))
        for group, (rate, decay) in zip(inner.param_groups, rates, strict=True):
            group["lr"], group["weight_decay"] = rate, decay
        zero._lazy_init_hp_params_optimizer_state()


def _set_lr(groups: Sequence[dict[str, Any]], lr: float) -> None:
    for group in groups:
        group["lr"] = lr


def _plain_moments(optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    return {
        f"{key}/{name}": optimizer.state[parameter][key] for name, parameter in parameters.items() for key in MOMENTS
    }


def _load_plain_moments(
    optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor], steps_done: int
) -> None:
    for name, parameter in parameters.items():
        state = optimizer.state[parameter]
        state["step"] = torch.tensor(float(steps_done))
        for key in MOMENTS:
            state[key] = tensors[f"{key}/{name}"].to(parameter.device, torch.float32).clone()
