"""Optimizer steps by DeepSpeed in a group of workers, ZeRO stages 0 to 3."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from raycalib.tuning.batches import TuningBatch
from raycalib.tuning.engines import (
    MOMENTS,
    MicroBatch,
    StepSums,
    TorchEngine,
    TrainingEngine,
    adamw,
    load_plain_moments,
    plain_moments,
    set_lr,
    trainable,
)
from raycalib.tuning.objective import CalibrationObjective, Found
from raycalib.tuning.settings import TuningSettings
from raycalib.tuning.weight_split import split_weights
from raycalib.tuning.world import World


def splits_weights(settings: TuningSettings, world: World) -> bool:
    """Whether each worker holds a part of the model alone."""
    return world.size > 1 and settings.zero_stage == 3


def make_engine(
    objective: CalibrationObjective, settings: TuningSettings, world: World, dtype: torch.dtype | None = None
) -> TrainingEngine:
    """DeepSpeed where a process group of several workers exists, else plain PyTorch: the same steps either way.

    Args:
        objective: of the run.
        settings: of the run.
        world: this worker's place.
        dtype: to compute in where weights are split; None is the model's.
    """
    if world.size > 1:
        return DeepSpeedEngine(objective, settings, world, dtype)
    return TorchEngine(objective, settings)


def deepspeed_config(settings: TuningSettings, world_size: int, n_trainable: int) -> dict[str, Any]:
    """DeepSpeed's configuration for so many workers and trainable parameters."""
    # By default gradients go through a bucket of 500 million numbers, which is made whole even for a small adapter.
    zero: dict[str, Any] = {"stage": settings.zero_stage, "reduce_bucket_size": n_trainable}
    if settings.zero_stage == 3:
        zero["stage3_param_persistence_threshold"] = settings.zero_persistence_threshold
    if settings.offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu"}
    if settings.offload_parameters:
        zero["offload_param"] = {"device": "cpu"}
    return {
        "train_micro_batch_size_per_gpu": settings.micro_batch_size,
        "gradient_accumulation_steps": passes_per_step(settings, world_size),
        "gradient_clipping": settings.max_grad_norm,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
    }


def passes_per_step(settings: TuningSettings, world_size: int) -> int:
    """Passes that each worker makes in a step, those without rows among them."""
    share = -(-settings.global_batch_size // world_size)
    return -(-share // settings.micro_batch_size)


class DeepSpeedEngine:
    """Several workers under DeepSpeed."""

    def __init__(
        self,
        objective: CalibrationObjective,
        settings: TuningSettings,
        world: World,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Puts the model under DeepSpeed, under ZeRO-3 in another dtype where one is given."""
        import deepspeed

        self.objective = objective
        self.world = world
        self.zero_stage = settings.zero_stage
        self.accumulation = passes_per_step(settings, world.size)
        n_trainable = sum(parameter.numel() for parameter in trainable(objective).values())
        config = deepspeed_config(settings, world.size, n_trainable)
        if settings.zero_stage == 3:
            split_weights(objective, config, dtype)
        self.engine, _, _, _ = deepspeed.initialize(
            model=objective, optimizer=adamw(objective, settings), config=config
        )

    def step(self, micro_batches: Sequence[MicroBatch], n_global_rows: int, lr: float) -> StepSums:
        """One optimizer step; DeepSpeed averages over workers and passes, so each pass is scaled up by both."""
        if len(micro_batches) != self.accumulation:
            raise AssertionError(f"{len(micro_batches)} micro batches, the engine takes {self.accumulation}")
        self.engine.train()
        set_lr(self.engine.optimizer.param_groups, lr)
        query, divergence, norm = 0.0, 0.0, None
        scale = self.world.size * self.accumulation / n_global_rows
        for micro in micro_batches:
            parts = self.engine(micro.batch, micro.base_states)
            self.engine.backward(parts.total * (scale * micro.weight))
            norm = self._plain_norm() if self.zero_stage == 0 else None
            self.engine.step()
            query += float(parts.query.detach()) * micro.weight
            divergence += float(parts.divergence.detach()) * micro.weight
        norm = norm if self.zero_stage == 0 else self.engine.get_global_grad_norm()
        return StepSums(query, divergence, None if norm is None else float(norm))

    def _plain_norm(self) -> Tensor:
        """Of the gradients, which without ZeRO are whole on every worker; DeepSpeed does not keep it."""
        return nn.utils.get_total_norm([part.grad for part in self.engine.module.parameters() if part.grad is not None])

    @torch.no_grad()
    def read(self, batch: TuningBatch, wanted: Found) -> Tensor:
        """A pass without gradients; see ``TrainingEngine``."""
        self.engine.eval()
        found = cast(Tensor, self.engine(batch, wanted=wanted))
        if self.zero_stage == 3:  # what DeepSpeed gathered ahead and this kind of pass does not use would stay whole
            self.engine.optimizer.empty_partition_cache()
        return found

    def weights(self) -> dict[str, Tensor]:
        """The weights; see ``TrainingEngine``."""
        parameters = trainable(self.objective)
        if self.zero_stage < 3:
            return {name: parameter.detach() for name, parameter in parameters.items()}
        from deepspeed.utils import safe_get_full_fp32_param

        return {name: safe_get_full_fp32_param(parameter).detach() for name, parameter in parameters.items()}

    def moments(self) -> dict[str, Tensor]:
        """The moments; see ``TrainingEngine``."""
        if self.zero_stage == 0:
            return plain_moments(self.engine.optimizer, trainable(self.objective))
        from deepspeed.utils import safe_get_full_optimizer_state

        return {
            f"{key}/{name}": safe_get_full_optimizer_state(parameter, key)
            for name, parameter in trainable(self.objective).items()
            for key in MOMENTS
        }

    def load_moments(self, tensors: dict[str, Tensor], steps_done: int) -> None:
        """Sets the moments; see ``TrainingEngine``."""
        if self.zero_stage == 0:
            load_plain_moments(self.engine.optimizer, trainable(self.objective), tensors, steps_done)
            return
        from deepspeed.utils import safe_set_full_optimizer_state

        self._create_partitioned_state(steps_done)
        for name, parameter in trainable(self.objective).items():
            for key in MOMENTS:
                safe_set_full_optimizer_state(parameter, tensors[f"{key}/{name}"].to(self.world.device), key)

    def _create_partitioned_state(self, steps_done: int) -> None:
        """AdamW makes its state at the first step; here it is zeros, of the sizes that this worker keeps."""
        zero, inner = self.engine.optimizer, self.engine.optimizer.optimizer
        partitions = zero.fp32_partitioned_groups_flat if self.zero_stage == 3 else zero.single_partition_of_fp32_groups
        for partition in partitions:
            inner.state[partition] = {key: torch.zeros_like(partition, requires_grad=False) for key in MOMENTS}
            inner.state[partition]["step"] = torch.tensor(float(steps_done))
        if self.zero_stage < 3:
            zero._lazy_init_hp_params_optimizer_state()
